import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { NoApp } from './no-app';
import { appId } from './settings';
import './style.css';

const element = document.getElementById('root');
if (element === null) throw new Error('index.html has no element with the id "root".');
const root = createRoot(element);

if (appId === '') {
  root.render(<NoApp />);
} else {
  // Loaded only now, because it connects as soon as it is imported.
  const { App } = await import('./app');
  root.render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
