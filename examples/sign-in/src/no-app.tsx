/** What the page shows when its address names no app. */
export function NoApp() {
  return (
    <main className="no-app">
      <h1>Which app?</h1>
      <p>
        Add <code>?app=&lt;app id&gt;</code> to the address. <code>make serve</code> makes an app
        and prints the complete link.
      </p>
    </main>
  );
}
