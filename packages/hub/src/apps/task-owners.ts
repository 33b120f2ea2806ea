/**
 * Whose tasks an app works on. To the app all agents behind a hub are one client, which may see every task; here each
 * operator sees those that their own calls began. Nothing else tells: an id that nobody is known to own is its own proof.
 */
import { HubError } from "../errors.js";
import { isObject } from "../mcp/json-rpc.js";
import { metaKeys } from "../mcp/meta.js";

/** Tasks that are remembered of one operator, whose oldest makes room. */
const maxPerOperator = 512;
/** Of all; above it the oldest of the operator who has most makes room, so that nobody's flood is another's loss. */
const maxTasks = 4096;
const maxIdChars = 1024;

/** See the module header. */
export class TaskOwners {
  readonly #owners = new Map<string, string>();
  /** By operator, the oldest first. */
  readonly #tasks = new Map<string, Set<string>>();

  /** @throws {HubError} REQUEST_INVALID for a task of somebody else's, as for one that is not there. */
  assertOwn(method: string, { taskId }: Record<string, unknown>, principal: string): void {
    if (!method.startsWith("tasks/") || (this.#owners.get(String(taskId)) ?? principal) === principal) return;
    throw new HubError({ code: "REQUEST_INVALID", message: "There is no such task." });
  }

  /** Takes up a task that a result begins, and leaves out of a list of tasks those that are not the caller's. */
  shown(method: string, result: unknown, principal: string): unknown {
    if (!isObject(result)) return result;
    if (method === "tasks/list" && Array.isArray(result.tasks)) {
      const own = (task: unknown) => isObject(task) && this.#owners.get(String(task.taskId)) === principal;
      return { ...result, tasks: result.tasks.filter(own) };
    }
    const task = result.resultType === "task" ? result : result.task;
    if (!method.startsWith("tasks/") && isObject(task)) this.#learn(task.taskId, principal);
    return result;
  }

  /** Whether what an app says with `params` may be for `principal`: no, if it is about another's task. */
  concerns(params: Record<string, unknown>, principal: string): boolean {
    const task = taskIn(params);
    return task === undefined || this.#owners.get(task) === principal;
  }

  /** Whether what an app says with `params` is about a task that is known to be another's. */
  isOthers(params: Record<string, unknown>, principal: string): boolean {
    const task = taskIn(params);
    return task !== undefined && (this.#owners.get(task) ?? principal) !== principal;
  }

  #learn(taskId: unknown, principal: string): void {
    if (typeof taskId !== "string" || taskId.length > maxIdChars) return;
    this.#forget(taskId);
    const own = this.#tasks.get(principal) ?? new Set();
    this.#tasks.set(principal, own.add(taskId));
    this.#owners.set(taskId, principal);
    if (own.size > maxPerOperator) this.#forgetOldest(own);
    if (this.#owners.size > maxTasks) this.#forgetOldest(this.#largest());
  }

  #largest(): Set<string> {
    return [...this.#tasks.values()].reduce((most, tasks) => (tasks.size > most.size ? tasks : most));
  }

  #forgetOldest(tasks: ReadonlySet<string>): void {
    const [oldest] = tasks;
    this.#forget(oldest!);
  }

  #forget(taskId: string): void {
    const principal = this.#owners.get(taskId);
    const tasks = principal === undefined ? undefined : this.#tasks.get(principal);
    if (!tasks) return;
    this.#owners.delete(taskId);
    tasks.delete(taskId);
    if (tasks.size === 0) this.#tasks.delete(principal!);
  }
}

/** The task that params name. */
function taskIn({ taskId, _meta }: Record<string, unknown>): string | undefined {
  const related = isObject(_meta) ? _meta[metaKeys.relatedTask] : undefined;
  const named = taskId ?? (isObject(related) ? related.taskId : undefined);
  return named === undefined ? undefined : String(named);
}
