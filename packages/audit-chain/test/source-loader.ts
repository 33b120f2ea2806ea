/** For `node --import`: runs a test's child process from the sources, as the tests themselves are run. */
import { registerHooks } from "node:module";

const packages = new URL("../../", import.meta.url);

registerHooks({
  resolve(specifier, context, next) {
    const [, room, door] = /^@fed\/([^/]+)(?:\/([^/]+))?$/.exec(specifier) ?? [];
    if (room) return next(new URL(`${room}/src/${door ? `${door}/` : ""}index.ts`, packages).href, context);
    if (specifier === "#hmac-sha256") {
      return next(new URL("audit-chain/src/hmac-sha256-node.ts", packages).href, context);
    }
    const ownSource = specifier.startsWith(".") && context.parentURL?.startsWith(packages.href);
    return next(
      ownSource && !context.parentURL!.includes("node_modules") ? specifier.replace(/\.js$/, ".ts") : specifier,
      context,
    );
  },
});
