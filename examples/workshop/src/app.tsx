import { useEffect, useRef } from 'react';
import { useProjectId } from './address';
import { Connection } from './connection';
import { Failure, useTask } from './failures';
import { ProjectPage } from './project';
import { Projects } from './projects';
import type { Project, Workshop } from './workshop';

export function App({ workshop }: { readonly workshop: Workshop }) {
  const { isLoading, user } = workshop.db.useAuth();
  if (isLoading) return <Page workshop={workshop}>{<Loading />}</Page>;
  if (!user) {
    return (
      <Page workshop={workshop}>
        <Start workshop={workshop} />
      </Page>
    );
  }
  return <Home workshop={workshop} />;
}

function Start({ workshop }: { readonly workshop: Workshop }) {
  const { isBusy, failure, run } = useTask();
  return (
    <section className="start" aria-label="Start">
      <p>
        Make an app of your own in a second: a list of todos, a chat, or an empty one that you fill.
        Each is a database that nobody else can read, and you can change it while you use it.
      </p>
      <button
        type="button"
        className="primary"
        disabled={isBusy}
        onClick={() => void run(() => workshop.db.auth.signInAsGuest())}
      >
        Start
      </button>
      <Failure text={failure} />
    </section>
  );
}

/** What the person has, and the one of it that the address names. */
function Home({ workshop }: { readonly workshop: Workshop }) {
  const { isLoading, error, data } = workshop.db.useQuery({
    projects: { $: { order: { serverCreatedAt: 'asc' } } },
  });
  const projectId = useProjectId();
  const projects: readonly Project[] = data?.projects ?? [];
  const project = projects.find(({ id }) => id === projectId);
  const heading = useFocusOnChange(project?.id ?? 'none');

  if (project) {
    return (
      <ProjectPage key={project.id} workshop={workshop} project={project} heading={heading} />
    );
  }
  return (
    <Page workshop={workshop} heading={heading}>
      {error && <Failure text="Your apps could not be loaded. Please reload the page." />}
      {isLoading ? (
        <Loading />
      ) : (
        <>
          {projectId !== '' && <Failure text="You have no such app." />}
          <Projects workshop={workshop} projects={projects} />
        </>
      )}
    </Page>
  );
}

function Page(props: {
  readonly workshop: Workshop;
  readonly children: React.ReactNode;
  readonly heading?: React.Ref<HTMLHeadingElement>;
}) {
  return (
    <main>
      <header>
        <h1 ref={props.heading} tabIndex={-1}>
          Workshop
        </h1>
        <Connection db={props.workshop.db} />
      </header>
      {props.children}
    </main>
  );
}

function Loading() {
  return <p className="quiet empty">Loading…</p>;
}

/** On another page the link or button that led there is gone: the keyboard goes on from the top. */
function useFocusOnChange(where: string) {
  const heading = useRef<HTMLHeadingElement>(null);
  const previous = useRef(where);
  useEffect(() => {
    if (previous.current !== where) heading.current?.focus();
    previous.current = where;
  }, [where]);
  return heading;
}
