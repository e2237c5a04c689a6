// The same with the driver "postgres". Behind a transaction pooler it needs { prepare: false }, as here.

import { randomUUID } from "node:crypto";
import postgres from "postgres";
import type { Api, Job, Sent } from "./api.ts";

export async function connect(url: string): Promise<Api> {
  const pool = postgres(url, { prepare: false, max: 1 });
  let sql: postgres.Sql | postgres.TransactionSql = pool;
  return {
    async inTransaction(work) {
      const result = await pool.begin(async (transaction) => {
        sql = transaction;
        return { value: await work() };
      }).finally(() => {
        sql = pool;
      });
      return result.value;
    },

    async sendIndexJob(url, name, commit) {
      const indexJobId = randomUUID();
      const [repository] = await sql<{ id: string }[]>`
        INSERT INTO indexing.repositories (url, name) VALUES (${url}, ${name})
        ON CONFLICT (url) DO UPDATE SET url = excluded.url RETURNING id`;
      const repositoryId = repository!.id;
      await sql`
        INSERT INTO indexing.index_jobs (id, repository_id, commit_sha)
        VALUES (${indexJobId}, ${repositoryId}, ${commit})`;
      const kwargs = { index_job_id: indexJobId, repository_id: repositoryId, commit_sha: commit };
      const [sent] = await sql<Sent[]>`
        SELECT job_id AS "jobId", merged, ${indexJobId} AS "indexJobId"
          FROM dramatiq.enqueue('index_repo', kwargs => ${sql.json(kwargs)}, queue => 'index-repo',
                                key => ${repositoryId})`;
      await sql`UPDATE indexing.index_jobs SET message_id = ${sent!.jobId} WHERE id = ${indexJobId}`;
      return sent!;
    },

    async job(id) {
      const [found] = await sql<Job[]>`SELECT state, errors, reason, error, result FROM dramatiq.job(${id})`;
      return found ?? null;
    },

    async enqueue(actor, options) {
      await sql`SELECT job_id FROM dramatiq.enqueue(${actor}, options => ${sql.json(options)})`;
    },

    close: () => pool.end(),
  };
}
