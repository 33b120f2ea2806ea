import { defineConfig, type Options } from "tsup";

/** The one build of every room: ESM only, declarations come from `tsc -b`, Node builtins and dependencies stay external. */
export function room(options: Pick<Options, "entry">): ReturnType<typeof defineConfig> {
  return defineConfig({
    ...options,
    format: "esm",
    target: "es2024",
    platform: "neutral",
    dts: false,
    clean: false,
    sourcemap: true,
    splitting: true,
    treeshake: false,
    external: [/^node:/, /^#/],
    // `node:sqlite` and its like have no name without the prefix.
    removeNodeProtocol: false,
    skipNodeModulesBundle: true,
  });
}
