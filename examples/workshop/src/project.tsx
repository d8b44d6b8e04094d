import { useEffect, useRef, useState } from 'react';
import { goTo } from './address';
import { Connection } from './connection';
import { Failure, reasonOf, useTask } from './failures';
import { Grow } from './grow';
import { Things } from './things';
import type { Project, ProjectDb, Workshop } from './workshop';

interface Props {
  readonly workshop: Workshop;
  readonly project: Project;
  readonly heading: React.Ref<HTMLHeadingElement>;
}

/** One app of the person, with a connection of its own. */
export function ProjectPage({ workshop, project, heading }: Props) {
  const db = workshop.dbOf(project);
  const failure = useSignIn(workshop, project);
  return (
    <main>
      <nav>
        <a href="#">All apps</a>
      </nav>
      <header>
        <h1 ref={heading} tabIndex={-1} dir="auto">
          {project.title}
        </h1>
        <Connection db={db} />
      </header>
      <Failure text={failure} />
      <Kinds db={db} project={project} />
      <Grow workshop={workshop} project={project} />
      <Remove workshop={workshop} project={project} />
    </main>
  );
}

function useSignIn(workshop: Workshop, project: Project): string | null {
  const [failure, setFailure] = useState<string | null>(null);
  useEffect(() => {
    workshop.signIn(project).catch((error: unknown) => setFailure(reasonOf(error)));
    // Whose app it is never changes; its shape does.
  }, [workshop, project.id]);
  return failure;
}

function Kinds({ db, project }: { readonly db: ProjectDb; readonly project: Project }) {
  const { user } = db.useAuth();
  if (!user) return <p className="quiet empty">Loading…</p>;
  const kinds = Object.entries(project.shape);
  if (kinds.length === 0)
    return <p className="quiet empty">Nothing in it yet. Below you say what is.</p>;
  return kinds.map(([kind, fields]) => <Things key={kind} db={db} kind={kind} fields={fields} />);
}

function Remove({ workshop, project }: { readonly workshop: Workshop; readonly project: Project }) {
  const [isSure, setSure] = useState(false);
  const { isBusy, failure, run } = useTask();
  const region = useRef<HTMLElement>(null);

  function ask(next: boolean) {
    setSure(next);
    // The button that had the focus goes.
    region.current?.focus();
  }

  return (
    <section ref={region} tabIndex={-1} className="remove" aria-label="Delete this app">
      {isSure ? (
        <>
          <p>All of “{project.title}” goes.</p>
          <button
            type="button"
            className="danger"
            disabled={isBusy}
            onClick={() =>
              void run(async () => {
                await workshop.remove(project);
                goTo('');
              })
            }
          >
            Delete it
          </button>
          <button type="button" onClick={() => ask(false)}>
            Keep it
          </button>
        </>
      ) : (
        <button type="button" onClick={() => ask(true)}>
          Delete this app…
        </button>
      )}
      <Failure text={failure} />
    </section>
  );
}
