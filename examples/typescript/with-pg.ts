// An index job in the transaction of an API, with the driver "pg". All there is to it is SQL: docs/api-developers.md.

import { randomUUID } from "node:crypto";
import pg from "pg";
import type { Api, Job, Sent } from "./api.ts";

export async function connect(url: string): Promise<Api> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return {
    async inTransaction(work) {
      await client.query("BEGIN");
      try {
        const result = await work();
        await client.query("COMMIT");
        return result;
      } catch (error) {
        await client.query("ROLLBACK");
        throw error;
      }
    },

    async sendIndexJob(url, name, commit) {
      const indexJobId = randomUUID();
      const repositories = await client.query<{ id: string }>(
        `INSERT INTO indexing.repositories (url, name) VALUES ($1, $2)
         ON CONFLICT (url) DO UPDATE SET url = excluded.url RETURNING id`,
        [url, name],
      );
      const repositoryId = repositories.rows[0]!.id;
      await client.query("INSERT INTO indexing.index_jobs (id, repository_id, commit_sha) VALUES ($1, $2, $3)", [
        indexJobId,
        repositoryId,
        commit,
      ]);
      const sent = await client.query<Sent>(
        `SELECT job_id AS "jobId", merged, $2 AS "indexJobId"
           FROM dramatiq.enqueue($1, kwargs => $3, queue => $4, key => $5)`,
        [
          "index_repo",
          indexJobId,
          JSON.stringify({ index_job_id: indexJobId, repository_id: repositoryId, commit_sha: commit }),
          "index-repo",
          repositoryId,
        ],
      );
      await client.query("UPDATE indexing.index_jobs SET message_id = $2 WHERE id = $1", [
        indexJobId,
        sent.rows[0]!.jobId,
      ]);
      return sent.rows[0]!;
    },

    async job(id) {
      const found = await client.query<Job>("SELECT state, errors, reason, error, result FROM dramatiq.job($1)", [id]);
      return found.rows[0] ?? null;
    },

    async enqueue(actor, options) {
      await client.query("SELECT job_id FROM dramatiq.enqueue($1, options => $2)", [actor, JSON.stringify(options)]);
    },

    close: () => client.end(),
  };
}
