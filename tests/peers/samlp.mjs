// npm samlp as a company's SAML identity provider. Told {key, certificate, acs_url}; whoever asks is grace.
import { createServer } from 'node:http';
import { once } from 'node:events';
import samlp from 'samlp';

const told = JSON.parse((await process.stdin.toArray()).join(''));
const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const base = `http://127.0.0.1:${server.address().port}`;
const user = {
  id: 'grace-1',
  displayName: 'Grace',
  emails: [{ value: 'grace@example.com' }],
  name: { givenName: 'Grace', familyName: 'Hopper' },
};
const sso = samlp.auth({
  issuer: `${base}/metadata`,
  cert: told.certificate,
  key: told.key,
  recipient: told.acs_url,
  destination: told.acs_url,
  lifetimeInSeconds: 300,
  getPostURL: (audience, request, req, done) => done(null, told.acs_url),
  getUserFromRequest: () => user,
});
const metadata = samlp.metadata({
  issuer: `${base}/metadata`,
  cert: told.certificate,
  redirectEndpointPath: '/sso',
  postEndpointPath: '/sso',
});
server.on('request', (request, response) => {
  const url = new URL(request.url, base);
  Object.assign(request, {
    query: Object.fromEntries(url.searchParams),
    originalUrl: request.url,
    connection: request.socket,
    get: (name) => request.headers[name.toLowerCase()],
    protocol: 'http',
  });
  response.set = (name, value) => { response.setHeader(name, value); return response; };
  response.send = (body) => response.end(body);
  const failed = (error) => { response.statusCode = 500; response.end(String(error?.stack ?? error)); };
  (url.pathname === '/metadata' ? metadata : sso)(request, response, failed);
});
console.log(JSON.stringify({ base }));
