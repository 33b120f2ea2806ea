/** What the apps of both eras have: the same content, and the same questions, said in each era's own way. */

/** A question to the agent. */
export interface Question {
  readonly method: "elicitation/create" | "sampling/createMessage" | "roots/list";
  readonly params: Record<string, unknown>;
}

const form = (message: string): Question => ({
  method: "elicitation/create",
  params: {
    mode: "form",
    message,
    requestedSchema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
  },
});
const url: Question = {
  method: "elicitation/create",
  params: { mode: "url", message: "Sign in, please.", url: "https://example.com/sign-in", elicitationId: "sign-in-1" },
};
const model: Question = {
  method: "sampling/createMessage",
  params: { messages: [{ role: "user", content: { type: "text", text: "Say hello." } }], maxTokens: 16 },
};
const roots: Question = { method: "roots/list", params: {} };

/** Tools that ask, round by round, and answer with what they heard. */
export const asking: Readonly<Record<string, readonly Readonly<Record<string, Question>>[]>> = {
  "ask-form": [{ who: form("Who are you?") }],
  "ask-url": [{ consent: url }],
  "ask-model": [{ words: model }],
  "ask-roots": [{ folders: roots }],
  "ask-many": [{ who: form("Who are you?"), words: model, folders: roots }],
  "ask-rounds": [{ first: form("Who are you?") }, { second: form("And who else?") }],
};

/** Content of every kind, with members that no schema knows. */
export const content = {
  content: [
    { type: "text", text: "a text", annotations: { audience: ["user"], priority: 0.5 } },
    { type: "image", data: "AAECAw==", mimeType: "image/png", _meta: { "example.com/shot": 1 } },
    { type: "audio", data: "AAECAw==", mimeType: "audio/wav" },
    { type: "resource", resource: { uri: "test://inside", mimeType: "text/plain", text: "inside" } },
    { type: "resource_link", uri: "test://link", name: "link" },
  ],
  structuredContent: { answer: 42, deep: { list: [1, null, "zwölf"] } },
  _meta: { "example.com/kept": { nested: true } },
};

export const tools = [
  ...["content", "echo", "progress", "log", "wait", "ask-or-wait", "heard", "fail", "change", "mirror"].map((name) => ({
    name,
    description: `The tool ${name}.`,
    inputSchema: { type: "object" as const },
    _meta: { "example.com/icon": name },
  })),
  ...Object.keys(asking).map((name) => ({ name, inputSchema: { type: "object" as const } })),
];

export const resources = [{ uri: "test://one", name: "one", mimeType: "text/plain", annotations: { priority: 1 } }];
export const resourceTemplates = [{ uriTemplate: "test://{id}", name: "by id" }];
export const prompts = [{ name: "greet", arguments: [{ name: "whom", required: true }] }];

export const contentsOf = (uri: string) => [
  { uri, mimeType: "text/plain", text: `text of ${uri}` },
  { uri: `${uri}#blob`, mimeType: "application/octet-stream", blob: "AAECAw==" },
];

export const messagesFor = (whom: string) => [
  { role: "user" as const, content: { type: "text" as const, text: `Greet ${whom}.` } },
];

export const completionFor = (value: string) => ({
  values: ["paris", "park", "party"].filter((word) => word.startsWith(value)),
  total: 3,
  hasMore: false,
});

/** Lists that `change` says to have changed, and the one resource. */
export const changes = ["tools", "prompts", "resources", "test://one"] as const;

export const severities = ["debug", "info", "warning", "error"] as const;

/** The JSON-RPC errors that `fail` answers with. */
export const failures = {
  missing: { code: -32002, message: "Resource not found", data: { uri: "test://gone" } },
  own: { code: 4711, message: "The app's own", data: { why: ["because"], "example.com/x": null } },
  "sign-in": {
    code: -32042,
    message: "Sign in first",
    data: {
      elicitations: [
        { mode: "url", message: "Sign in, please.", url: "https://example.com/sign-in", elicitationId: "sign-in-1" },
      ],
    },
  },
} as const;

export const text = (value: unknown) => ({
  content: [{ type: "text" as const, text: typeof value === "string" ? value : JSON.stringify(value) }],
});
