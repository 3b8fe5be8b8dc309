// A relying party's back-channel logout endpoint with jose, which fetches the issuer's keys itself. Told: issuer, client_id, now
// (Unix seconds). A POST is judged by OpenID Connect Back-Channel Logout 1.0 section 2.6; a GET gives what was taken.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const told = JSON.parse((await process.stdin.toArray()).join(''));
const document = await (await fetch(`${told.issuer}/.well-known/openid-configuration`)).json();
const keys = createRemoteJWKSet(new URL(document.jwks_uri));
const taken = [];

async function take(request) {
  const form = new URLSearchParams((await request.toArray()).join(''));
  const { payload } = await jwtVerify(form.get('logout_token'), keys, {
    issuer: told.issuer, audience: told.client_id, typ: 'logout+jwt', algorithms: document.id_token_signing_alg_values_supported,
    requiredClaims: ['iat', 'exp', 'jti', 'events', 'sub', 'sid'], maxTokenAge: '2m', currentDate: new Date(told.now * 1000),
  });
  const event = payload.events['http://schemas.openid.net/event/backchannel-logout'];
  if (typeof event !== 'object' || event === null || 'nonce' in payload) throw new Error('no logout token');
  taken.push({ sub: payload.sub, sid: payload.sid });
}

const server = createServer(async (request, response) => {
  response.setHeader('cache-control', 'no-store');
  if (request.method === 'GET') return response.end(JSON.stringify(taken));
  response.statusCode = await take(request).then(() => 200, () => 400);
  return response.end();
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(JSON.stringify({ address: `http://127.0.0.1:${server.address().port}/logout` }));
