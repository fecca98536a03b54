/** Keeps the page for visits without a connection (service-worker.js). */
export function keepOffline(): void {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  // It is in control once the page's own files are kept: the first time, and after each new build.
  const keepLater = () => serviceWorker.controller?.postMessage('later');
  serviceWorker.addEventListener('controllerchange', keepLater);
  addEventListener('load', () => {
    serviceWorker.register(new URL('./service-worker.js', document.baseURI)).then(keepLater, error => {
      // The page works without it, though not offline.
      console.warn(`webgpu-bert lab: this page is not kept for offline use (${error}).`);
    });
  });
}
