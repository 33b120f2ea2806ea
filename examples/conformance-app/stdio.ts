/** The app on standard streams. */
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { createFactory } from "./app.ts";
import { AppState } from "./state.ts";

serveStdio(createFactory(new AppState()));
