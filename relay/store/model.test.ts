import { storeConformance } from './conformance.ts';
import { ModelState, ModelStore } from './model.ts';

storeConformance('model', () => {
  const state = new ModelState();
  return Promise.resolve({
    open: () => Promise.resolve(new ModelStore(state)),
    dispose: () => Promise.resolve(),
  });
});
