import { defineConfig } from "vite";

// JSX is esbuild's own business: no plugin is needed for a build.
export default defineConfig({ esbuild: { jsx: "automatic" } });
