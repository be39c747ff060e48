// The schema library would try to compile its checks with `new Function`; the content policy forbids it, rightly.
(globalThis as { __zod_globalConfig?: object }).__zod_globalConfig = { jitless: true };

export {};
