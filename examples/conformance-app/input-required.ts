/** Results that need input first (SEP-2322): one question, several at once, several rounds, and state that must come back. */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  createRequestStateCodec,
  type InputRequests,
  inputRequired,
  inputResponse,
  type McpServer,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { text } from "./content.ts";

/** What a client carries from one round to the next. */
interface Carried {
  /** The tool it is for, so that state of one is not state of another. */
  readonly tool: string;
  readonly name?: string;
}

/** Seals {@link Carried}: it passes through the client, who must not be able to change it, nor to use it for long. */
export const requestState = createRequestStateCodec<Carried>({
  key: randomBytes(32),
  ttlSeconds: 300,
  bind: ({ mcpReq }) => mcpReq.method,
});

const nameForm = z.object({ name: z.string() });
const colorForm = z.object({ color: z.string() });
const confirmForm = z.object({ ok: z.boolean() });
const contextForm = z.object({ context: z.string() });

const askName = (message: string) => inputRequired.elicit({ message, requestedSchema: nameForm });
const askModel = (prompt: string, maxTokens: number) =>
  inputRequired.createMessage({ messages: [{ role: "user", content: { type: "text", text: prompt } }], maxTokens });

export function registerInputRequired(server: McpServer): void {
  registerOneQuestion(server);
  registerSeveralQuestions(server);
  registerState(server);
  registerCapabilities(server);
  registerPrompt(server);
}

function registerOneQuestion(server: McpServer): void {
  server.registerTool("test_input_required_result_elicitation", { description: "Asks for a name." }, ({ mcpReq }) => {
    const answer = acceptedContent(mcpReq.inputResponses, "user_name", nameForm);
    if (answer) return text(`Hello, ${answer.name}!`);
    return inputRequired({ inputRequests: { user_name: askName("What is your name?") } });
  });
  server.registerTool("test_input_required_result_sampling", { description: "Asks the model." }, ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, "capital_question");
    if (answer.kind === "sampling") return text(JSON.stringify(answer.result.content));
    return inputRequired({ inputRequests: { capital_question: askModel("What is the capital of France?", 100) } });
  });
  server.registerTool("test_input_required_result_list_roots", { description: "Asks for roots." }, ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, "client_roots");
    if (answer.kind === "roots") return text(answer.roots.map(({ uri }) => uri).join("\n"));
    return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  });
  server.registerTool(
    "test_streaming_elicitation",
    { description: "Tells that it has begun, then asks." },
    async ({ mcpReq }) => {
      const answer = acceptedContent(mcpReq.inputResponses, "user_name", nameForm);
      if (answer) return text(`Hello, ${answer.name}!`);
      const progressToken = mcpReq._meta?.progressToken;
      if (progressToken !== undefined) {
        await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: 1, total: 2 } });
      }
      await delay(50);
      return inputRequired({ inputRequests: { user_name: askName("What is your name?") } });
    },
  );
}

function registerSeveralQuestions(server: McpServer): void {
  const several = "test_input_required_result_multiple_inputs";
  server.registerTool(several, { description: "Asks user, model and client at once." }, async (ctx) => {
    const { inputResponses } = ctx.mcpReq;
    const name = acceptedContent(inputResponses, "user_name", nameForm);
    const greeting = inputResponse(inputResponses, "greeting");
    const roots = inputResponse(inputResponses, "client_roots");
    if (stateOf(ctx, several) && name && greeting.kind === "sampling" && roots.kind === "roots") {
      return text(`${JSON.stringify(greeting.result.content)} ${name.name}, ${roots.roots.length} roots`);
    }
    return inputRequired({
      inputRequests: {
        user_name: askName("What is your name?"),
        greeting: askModel("Generate a greeting", 50),
        client_roots: inputRequired.listRoots(),
      },
      requestState: await requestState.mint({ tool: several }, ctx),
    });
  });

  const rounds = "test_input_required_result_multi_round";
  server.registerTool(rounds, { description: "Asks twice." }, async (ctx) => {
    const state = stateOf(ctx, rounds);
    const color = acceptedContent(ctx.mcpReq.inputResponses, "step2", colorForm);
    if (state?.name !== undefined && color) return text(`${state.name} likes ${color.color}.`);
    const name = state && (state.name ?? acceptedContent(ctx.mcpReq.inputResponses, "step1", nameForm)?.name);
    if (name === undefined) {
      return inputRequired({
        inputRequests: { step1: askName("Step 1: What is your name?") },
        requestState: await requestState.mint({ tool: rounds }, ctx),
      });
    }
    const message = "Step 2: What is your favorite color?";
    return inputRequired({
      inputRequests: { step2: inputRequired.elicit({ message, requestedSchema: colorForm }) },
      requestState: await requestState.mint({ tool: rounds, name }, ctx),
    });
  });
}

/** Tools that go on only with the state they gave. */
function registerState(server: McpServer): void {
  for (const tool of ["test_input_required_result_request_state", "test_input_required_result_tampered_state"]) {
    server.registerTool(tool, { description: "Asks to confirm, with sealed state." }, async (ctx) => {
      const answer = acceptedContent(ctx.mcpReq.inputResponses, "confirm", confirmForm);
      if (answer && stateOf(ctx, tool)) return text(`state-ok, confirmed: ${answer.ok}`);
      return inputRequired({
        inputRequests: { confirm: inputRequired.elicit({ message: "Please confirm", requestedSchema: confirmForm }) },
        requestState: await requestState.mint({ tool }, ctx),
      });
    });
  }
}

function registerCapabilities(server: McpServer): void {
  server.registerTool(
    "test_input_required_result_capabilities",
    { description: "Asks only what the client can answer." },
    ({ mcpReq }) => {
      const envelope: { [CLIENT_CAPABILITIES_META_KEY]?: ClientCapabilities } | undefined = mcpReq.envelope;
      const declared = envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? server.server.getClientCapabilities() ?? {};
      if (Object.keys(mcpReq.inputResponses ?? {}).length > 0) return text("Thank you.");
      const inputRequests: InputRequests = {
        ...(declared.sampling && { greeting: askModel("Generate a greeting", 50) }),
        ...(declared.elicitation && { user_name: askName("What is your name?") }),
        ...(declared.roots && { client_roots: inputRequired.listRoots() }),
      };
      return Object.keys(inputRequests).length > 0
        ? inputRequired({ inputRequests })
        : text("This client can be asked nothing.");
    },
  );
  server.registerTool("test_missing_capability", { description: "Needs a model, whoever calls." }, ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, "completion");
    if (answer.kind === "sampling") return text(JSON.stringify(answer.result.content));
    return inputRequired({ inputRequests: { completion: askModel("Say something", 50) } });
  });
}

function registerPrompt(server: McpServer): void {
  server.registerPrompt(
    "test_input_required_result_prompt",
    { description: "A prompt that asks for its context." },
    ({ mcpReq }) => {
      const answer = acceptedContent(mcpReq.inputResponses, "user_context", contextForm);
      if (answer)
        return { messages: [{ role: "user", content: { type: "text", text: `Context: ${answer.context}` } }] };
      const message = "What context should the prompt use?";
      return inputRequired({
        inputRequests: { user_context: inputRequired.elicit({ message, requestedSchema: contextForm }) },
      });
    },
  );
}

/** The state that came back, if it was `tool` that gave it. */
function stateOf({ mcpReq }: ServerContext, tool: string): Carried | undefined {
  const state = mcpReq.requestState<Carried>();
  return state?.tool === tool ? state : undefined;
}
