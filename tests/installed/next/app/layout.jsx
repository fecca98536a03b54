export const metadata = { title: 'webgpu-bert in a Next.js project' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
