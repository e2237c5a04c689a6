// What both files of this example offer, and the answers of the queue's functions as they use them.

export type Sent = {
  /** The row of indexing.index_jobs that tells how it goes. */
  indexJobId: string;
  /** For dramatiq.job(). Of another job when this one was merged into it. */
  jobId: string;
  merged: boolean;
};

export type Job = {
  state: "scheduled" | "ready" | "running" | "completed" | "dead" | "merged";
  errors: number;
  reason: string | null;
  error: string | null;
  result: unknown;
};

export type Api = {
  inTransaction<T>(work: () => Promise<T>): Promise<T>;
  /** Rows and job together. To be called in a transaction. */
  sendIndexJob(url: string, name: string, commit: string | null): Promise<Sent>;
  /** null: there never was such a job, or it is no longer kept. */
  job(id: string): Promise<Job | null>;
  /** Any actor, with options, to see them refused. */
  enqueue(actor: string, options: Record<string, number>): Promise<void>;
  close(): Promise<void>;
};
