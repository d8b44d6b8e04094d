import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import './style.css';

const element = document.getElementById('root');
if (element === null) throw new Error('index.html has no element with the id "root".');
createRoot(element).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
