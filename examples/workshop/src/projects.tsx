import { useState, type FormEvent } from 'react';
import { goTo } from './address';
import { Failure, useTask } from './failures';
import type { Project, Workshop } from './workshop';

const ABOUT: Readonly<Record<string, readonly [name: string, about: string]>> = {
  todo: ['Todos', 'Things to do, and which are done'],
  chat: ['Chat', 'Messages, newest at the end'],
  empty: ['Empty', 'Nothing yet: you say what is in it'],
};

/** The person's apps, and the form that makes one more. */
export function Projects(props: {
  readonly workshop: Workshop;
  readonly projects: readonly Project[];
}) {
  return (
    <>
      <Create workshop={props.workshop} />
      <section aria-labelledby="yours">
        <h2 id="yours">Your apps</h2>
        {props.projects.length === 0 && <p className="quiet">None yet.</p>}
        <ul className="projects" aria-labelledby="yours">
          {props.projects.map((project) => (
            <li key={project.id}>
              <a href={`#${project.id}`}>
                <strong dir="auto">{project.title}</strong>
                <span className="quiet">
                  {ABOUT[project.template]?.[0] ?? project.template} ·{' '}
                  {Object.keys(project.shape).join(', ') || 'nothing in it yet'}
                </span>
              </a>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

function Create({ workshop }: { readonly workshop: Workshop }) {
  const [title, setTitle] = useState('');
  const [template, setTemplate] = useState(workshop.templates[0] ?? '');
  const { isBusy, failure, run } = useTask();

  function submit(event: FormEvent) {
    event.preventDefault();
    if (title.trim() === '') return;
    void run(async () => goTo((await workshop.create(title.trim(), template)).id));
  }

  return (
    <form className="create card" onSubmit={submit}>
      <fieldset>
        <legend>A new app</legend>
        <div className="templates">
          {workshop.templates.map((name) => (
            <label key={name}>
              <input
                type="radio"
                name="template"
                checked={name === template}
                onChange={() => setTemplate(name)}
              />
              <span>
                <strong>{ABOUT[name]?.[0] ?? name}</strong>
                <small className="quiet">{ABOUT[name]?.[1]}</small>
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      <div className="line">
        <input
          aria-label="Title of the new app"
          placeholder="What is it called?"
          dir="auto"
          maxLength={60}
          value={title}
          onChange={(event) => setTitle(event.target.value)}
        />
        <button type="submit" className="primary" disabled={isBusy}>
          {isBusy ? 'Making it…' : 'Make it'}
        </button>
      </div>
      <Failure text={failure} />
    </form>
  );
}
