/** The tools of a hub's own surface: their names, what they take, and what an agent is told of them. */
import { z } from "zod";
import { isObject } from "../mcp/json-rpc.js";
import { contains, type Operator, type Scope } from "../operators/operator.js";

const hub = z.string().min(1).max(64).describe("The hub's name or id. Left out: the one hub that has the app.");
const app = z.string().min(1).max(64).describe("The app's name on that hub.");
const cursor = z.string().min(1).max(1024).optional().describe("Where to go on: the nextCursor of the answer before.");
const ownApp = z.string().min(1).max(64).describe("An app of this hub.");

/** What each tool takes. */
export const fleetInputs = {
  "apps.list": z.object({
    hub: hub.optional().describe("Only this hub, by name or id."),
    status: z.enum(["ready", "starting", "failed", "idle", "stopped", "offline"]).optional(),
    limit: z.int().min(1).max(1000).optional().describe("Apps in one answer; 100 unless told."),
    cursor,
  }),
  "apps.describe": z.object({ hub: hub.optional(), app }),
  "apps.search": z.object({
    query: z.string().min(1).max(256).describe("Words to look for in names and descriptions of apps and tools."),
    limit: z.int().min(1).max(200).optional().describe("Matches in one answer; 50 unless told."),
    cursor,
  }),
  "app.call": z.object({
    hub: hub.optional(),
    app,
    tool: z.string().min(1).max(128).describe("The tool's name, as apps.describe shows it."),
    arguments: z.record(z.string(), z.unknown()).optional().describe("The tool's arguments."),
    idempotencyKey: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .describe("Repeat a call of unknown outcome under the key it had: within 10 minutes it runs at most once."),
  }),
  "apps.launch": z.object({ app: ownApp }),
  "apps.stop": z.object({ app: ownApp }),
} as const;

/** What `app.call` takes. */
export type CallInput = z.infer<(typeof fleetInputs)["app.call"]>;

/** Whether `input` is what `app.call` takes, found without the schema: this is asked on every call. */
export function isCallInput(input: Record<string, unknown>): input is CallInput {
  for (const key in input) if (!Object.hasOwn(callFields, key)) return false;
  return (
    isText(input.app, 64) &&
    isText(input.tool, 128) &&
    (input.hub === undefined || isText(input.hub, 64)) &&
    (input.arguments === undefined || isObject(input.arguments)) &&
    (input.idempotencyKey === undefined || isText(input.idempotencyKey, 100))
  );
}

function isText(value: unknown, maxChars: number): boolean {
  return typeof value === "string" && value.length > 0 && value.length <= maxChars;
}

/** A tool of the surface. */
export type FleetTool = keyof typeof fleetInputs;

const callFields = fleetInputs["app.call"].shape;

const about: Readonly<Record<FleetTool, { title: string; description: string; readOnly: boolean }>> = {
  "apps.list": {
    title: "List apps",
    description: "Every app you may use, on every hub, with where it is, by which path, and whether that is known now.",
    readOnly: true,
  },
  "apps.describe": {
    title: "Describe an app",
    description: "The tools of one app, with their input schemas.",
    readOnly: true,
  },
  "apps.search": {
    title: "Search apps and tools",
    description: "The apps and tools whose name or description holds all the words, the best first.",
    readOnly: true,
  },
  "app.call": { title: "Call a tool", description: "Calls one tool of one app, on any hub.", readOnly: false },
  "apps.launch": {
    title: "Launch an app",
    description: "Starts an app of this hub and waits until it is ready. Needs an Admin token.",
    readOnly: false,
  },
  "apps.stop": {
    title: "Stop an app",
    description: "Stops an app of this hub until it is launched again. Needs an Admin token.",
    readOnly: false,
  },
};

/** What a token must be good for to use the tool. */
export function scopeOf(tool: FleetTool): Scope {
  return tool === "apps.launch" || tool === "apps.stop" ? "Admin" : "ReadOnly";
}

const all = Object.entries(fleetInputs).map(([name, input]) => {
  const { title, description, readOnly } = about[name as FleetTool];
  const { $schema, ...inputSchema } = z.toJSONSchema(input, { io: "input" });
  return { name, title, description, inputSchema, annotations: { readOnlyHint: readOnly, openWorldHint: true } };
});

/** The answer to `tools/list`: what `operator` may use. */
export function toolsFor({ scope }: Operator): readonly { readonly name: string }[] {
  return all.filter(({ name }) => contains(scope, scopeOf(name as FleetTool)));
}
