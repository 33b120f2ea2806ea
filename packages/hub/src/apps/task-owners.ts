/**
 * Whose tasks an app works on. To the app all agents behind a hub are one client, which may see every task; here each
 * operator sees those that their own calls began. Nothing else tells: an id that nobody is known to own is its own proof.
 */
import { HubError } from "../errors.js";
import { isObject } from "../mcp/json-rpc.js";
import { metaKeys } from "../mcp/meta.js";

/** Tasks that are remembered; the oldest makes room. */
const maxTasks = 4096;
const maxIdChars = 1024;

/** See the module header. */
export class TaskOwners {
  readonly #owners = new Map<string, string>();

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
    this.#owners.set(taskId, principal);
    for (const oldest of this.#owners.keys()) {
      if (this.#owners.size <= maxTasks) break;
      this.#owners.delete(oldest);
    }
  }
}

/** The task that params name. */
function taskIn({ taskId, _meta }: Record<string, unknown>): string | undefined {
  const related = isObject(_meta) ? _meta[metaKeys.relatedTask] : undefined;
  const named = taskId ?? (isObject(related) ? related.taskId : undefined);
  return named === undefined ? undefined : String(named);
}
