/** What changes while the app runs; shared by all instances of the server in this process, of which HTTP makes many. */
import { InMemoryServerEventBus, type McpServer } from "@modelcontextprotocol/server";

/** The resource that may be subscribed to. */
export const watchedUri = "test://watched-resource";

/** See the module header. */
export class AppState {
  /** Each change, for those who listen. */
  readonly changes = new InMemoryServerEventBus();
  toolRevision = 1;
  promptRevision = 1;
  resourceRevision = 1;

  changeTool(): void {
    this.toolRevision++;
    this.changes.publish({ kind: "tools_list_changed" });
  }

  changePrompt(): void {
    this.promptRevision++;
    this.changes.publish({ kind: "prompts_list_changed" });
  }

  changeResource(): void {
    this.resourceRevision++;
    this.changes.publish({ kind: "resource_updated", uri: watchedUri });
  }
}

/** Calls `onChange` with the kind of each change for as long as `server` is connected. */
export function follow(server: McpServer, state: AppState, onChange: (kind: string) => void): void {
  const unsubscribe = state.changes.subscribe(({ kind }) => onChange(kind));
  const { onclose } = server.server;
  server.server.onclose = () => {
    unsubscribe();
    onclose?.();
  };
}
