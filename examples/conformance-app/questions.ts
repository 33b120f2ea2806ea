/**
 * Tools that ask before they answer: the user, or the client's model. Each returns what it needs and runs again with the
 * answers; for a client of an older revision the SDK asks by a request of its own in between.
 */
import {
  type ElicitRequestFormParams,
  type InputRequest,
  inputRequired,
  inputResponse,
  type McpServer,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { text } from "./content.ts";

type FormSchema = ElicitRequestFormParams["requestedSchema"];

const contact: FormSchema = {
  type: "object",
  properties: {
    username: { type: "string", description: "User's response" },
    email: { type: "string", description: "User's email address" },
  },
  required: ["username", "email"],
};

/** SEP-1034: a default for each primitive type. */
const withDefaults: FormSchema = {
  type: "object",
  properties: {
    name: { type: "string", default: "John Doe" },
    age: { type: "integer", default: 30 },
    score: { type: "number", default: 95.5 },
    status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", default: true },
  },
};

/** SEP-1330: every way to write a choice. */
const choices: FormSchema = {
  type: "object",
  properties: {
    untitledSingle: { type: "string", enum: ["option1", "option2", "option3"] },
    titledSingle: {
      type: "string",
      oneOf: [
        { const: "value1", title: "First Option" },
        { const: "value2", title: "Second Option" },
        { const: "value3", title: "Third Option" },
      ],
    },
    legacyEnum: {
      type: "string",
      enum: ["opt1", "opt2", "opt3"],
      enumNames: ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti: { type: "array", items: { type: "string", enum: ["option1", "option2", "option3"] } },
    titledMulti: {
      type: "array",
      items: {
        anyOf: [
          { const: "value1", title: "First Choice" },
          { const: "value2", title: "Second Choice" },
          { const: "value3", title: "Third Choice" },
        ],
      },
    },
  },
};

export function registerQuestions(server: McpServer): void {
  server.registerTool(
    "test_elicitation",
    { description: "Asks the user who they are.", inputSchema: z.object({ message: z.string() }) },
    ({ message }, { mcpReq }) => {
      const answer = inputResponse(mcpReq.inputResponses, "user");
      if (answer.kind !== "elicit") return ask("user", inputRequired.elicit({ message, requestedSchema: contact }));
      return text(`User response: action: ${answer.action}, content: ${JSON.stringify(answer.content ?? {})}`);
    },
  );
  registerForm(server, "test_elicitation_sep1034_defaults", "Please review what is filled in.", withDefaults);
  registerForm(server, "test_elicitation_sep1330_enums", "Please choose.", choices);
  server.registerTool(
    "test_sampling",
    { description: "Has the client's model answer.", inputSchema: z.object({ prompt: z.string() }) },
    ({ prompt }, { mcpReq }) => {
      const answer = inputResponse(mcpReq.inputResponses, "completion");
      if (answer.kind === "sampling") return text(`LLM response: ${JSON.stringify(answer.result.content)}`);
      const messages = [{ role: "user" as const, content: { type: "text" as const, text: prompt } }];
      return ask("completion", inputRequired.createMessage({ messages, maxTokens: 100 }));
    },
  );
}

function registerForm(server: McpServer, name: string, message: string, requestedSchema: FormSchema): void {
  server.registerTool(name, { description: message }, ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, "form");
    if (answer.kind !== "elicit") return ask("form", inputRequired.elicit({ message, requestedSchema }));
    return text(`Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
  });
}

function ask(key: string, request: InputRequest) {
  return inputRequired({ inputRequests: { [key]: request } });
}
