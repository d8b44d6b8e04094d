import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import './style.css';
import { openWorkshop } from './workshop';

const element = document.getElementById('root');
if (element === null) throw new Error('index.html has no element with the id "root".');
const root = createRoot(element);

try {
  const workshop = await openWorkshop();
  root.render(
    <StrictMode>
      <App workshop={workshop} />
    </StrictMode>,
  );
} catch (error) {
  console.error(error);
  root.render(
    <main>
      <h1>Workshop</h1>
      <p role="alert">The workshop is out of reach. Please reload the page.</p>
    </main>,
  );
}
