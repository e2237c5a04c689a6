// npx tsx demo.ts pg|postgres REPOSITORY-URL
//
// One job in a transaction that is rolled back, one in a transaction that is committed, and what becomes of each. Prints a
// line of JSON for each step. The database is the one in DATABASE_URL.

import { setTimeout as pause } from "node:timers/promises";
import type { Sent } from "./api.ts";

const MAX_WAIT_MS = 60_000;
const LOOK_MS = 100;

class ChangedMyMind extends Error {}

const [driver, repository] = process.argv.slice(2);
const database = process.env.DATABASE_URL;
if ((driver !== "pg" && driver !== "postgres") || !repository || !database) {
  console.error("expected: DATABASE_URL=postgresql://... npx tsx demo.ts pg|postgres REPOSITORY-URL");
  process.exit(2);
}
const { connect } = await (driver === "pg" ? import("./with-pg.ts") : import("./with-postgres.ts"));
const api = await connect(database);

function say(step: string, facts: object): void {
  console.log(JSON.stringify({ step, ...facts }));
}

let rolledBack: Sent | undefined;
try {
  await api.inTransaction(async () => {
    rolledBack = await api.sendIndexJob(repository, "demo", null);
    throw new ChangedMyMind();
  });
} catch (error) {
  if (!(error instanceof ChangedMyMind)) throw error;
}
say("rolled back", { ...rolledBack, job: await api.job(rolledBack!.jobId) });

const sent = await api.inTransaction(() => api.sendIndexJob(repository, "demo", null));
say("committed", { ...sent });

const deadline = Date.now() + MAX_WAIT_MS;
let job = await api.job(sent.jobId);
while (job !== null && !["completed", "dead", "merged"].includes(job.state) && Date.now() < deadline) {
  await pause(LOOK_MS);
  job = await api.job(sent.jobId);
}
say("ended", { job });

try {
  await api.enqueue("index_repo", { max_retry: 1 });
} catch (error) {
  const { code, message } = error as { code: string; message: string };
  say("refused", { code, message });
}
await api.close();
