/** Tools that answer at once, or tell how far they are: content of each kind, errors, schemas, progress, logging. */
import { setTimeout as delay } from "node:timers/promises";
import { fromJsonSchema, type McpServer } from "@modelcontextprotocol/server";
import { redPixel, silence, text } from "./content.ts";

/** Everything of JSON Schema 2020-12 that a careless hop would strip. */
const strictContact = fromJsonSchema({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  $defs: {
    address: {
      $anchor: "addressDef",
      type: "object",
      properties: { street: { type: "string" }, city: { type: "string" } },
    },
  },
  properties: {
    name: { type: "string" },
    address: { $ref: "#/$defs/address" },
    contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: { type: "string" },
    email: { type: "string" },
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false,
});

/** SEP-2243: what HTTP clients repeat in `Mcp-Param-Region`. */
const region = { type: "string", "x-mcp-header": "Region" } as const;
const mirroredRegion = fromJsonSchema<{ region?: string }>({ type: "object", properties: { region } });

export function registerTools(server: McpServer): void {
  registerContent(server);
  registerSchemas(server);
  registerLongCalls(server);
}

function registerContent(server: McpServer): void {
  server.registerTool("test_simple_text", { description: "A text." }, () =>
    text("This is a simple text response for testing."),
  );
  server.registerTool("test_image_content", { description: "An image." }, () => ({
    content: [{ type: "image", data: redPixel, mimeType: "image/png" }],
  }));
  server.registerTool("test_audio_content", { description: "A sound." }, () => ({
    content: [{ type: "audio", data: silence, mimeType: "audio/wav" }],
  }));
  server.registerTool("test_embedded_resource", { description: "A resource inside the result." }, () => ({
    content: [
      {
        type: "resource",
        resource: {
          uri: "test://embedded-resource",
          mimeType: "text/plain",
          text: "This is an embedded resource content.",
        },
      },
    ],
  }));
  server.registerTool("test_multiple_content_types", { description: "A text, an image and a resource." }, () => ({
    content: [
      { type: "text", text: "Multiple content types test:" },
      { type: "image", data: redPixel, mimeType: "image/png" },
      {
        type: "resource",
        resource: {
          uri: "test://mixed-content-resource",
          mimeType: "application/json",
          text: JSON.stringify({ test: "data", value: 123 }),
        },
      },
    ],
  }));
  server.registerTool("test_error_handling", { description: "Always fails." }, () => {
    throw new Error("This tool intentionally returns an error for testing");
  });
}

function registerSchemas(server: McpServer): void {
  server.registerTool(
    "json_schema_2020_12_tool",
    { description: "Tool with JSON Schema 2020-12 features", inputSchema: strictContact },
    () => text("The arguments fit the schema."),
  );
  server.registerTool(
    "test_mirrored_header",
    { description: "An argument that HTTP clients repeat in Mcp-Param-Region.", inputSchema: mirroredRegion },
    ({ region }) => text(`Region: ${region ?? "none"}`),
  );
}

function registerLongCalls(server: McpServer): void {
  server.registerTool("test_tool_with_progress", { description: "Tells three times how far it is." }, async (ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progress > 0) await delay(50);
      if (progressToken === undefined) continue;
      await ctx.mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
    }
    return text("Done in three steps.");
  });
  for (const name of ["test_tool_with_logging", "test_logging_tool"]) {
    server.registerTool(name, { description: "Logs three times, for whoever asked for logs." }, async (ctx) => {
      await ctx.mcpReq.log("info", "Tool execution started");
      await delay(50);
      await ctx.mcpReq.log("info", "Tool processing data");
      await delay(50);
      await ctx.mcpReq.log("info", "Tool execution completed");
      return text("Logged three times.");
    });
  }
  server.registerTool(
    "test_reconnection",
    { description: "Closes its stream while it works, where the transport can resume." },
    async (ctx) => {
      ctx.http?.closeSSE?.();
      await delay(100);
      return text("Finished after the stream was closed.");
    },
  );
}
