/** The echo app on standard streams. */
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { createEchoServer } from "./echo-app.ts";

serveStdio(createEchoServer);
