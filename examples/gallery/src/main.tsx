import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { NoApp } from './no-app';
import { isAppId } from './settings';
import './style.css';

const element = document.getElementById('root');
if (element === null) throw new Error('index.html has no element with the id "root".');
const root = createRoot(element);

if (isAppId) {
  // Loaded only now, because it connects as soon as it is imported.
  const { App } = await import('./app');
  root.render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
} else {
  root.render(<NoApp />);
}
