// Every grant that needs no person, by two certified relying-party libraries and with every way to authenticate.
// Told: issuer, clients (id, method, secret or jwk), grants (grant_type and parameters), exchanger, subject.
import { readFileSync } from 'node:fs';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';

const told = JSON.parse(readFileSync(0, 'utf8'));
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(told.issuer);

async function proof(client, library) {
  if (client.method === 'client_secret_basic') return library.ClientSecretBasic(client.secret);
  if (client.method === 'client_secret_post') return library.ClientSecretPost(client.secret);
  if (client.method === 'none') return library.None();
  const { kid, ...jwk } = client.jwk;
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  return library.PrivateKeyJwt({ key, kid });
}

const server = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
);

async function withOauth4webapi(client) {
  const named = { client_id: client.id };
  const auth = await proof(client, oauth);
  return {
    async grant(type, parameters) {
      const response = await oauth.genericTokenEndpointRequest(server, named, auth, type, parameters, insecure);
      return oauth.processGenericTokenEndpointResponse(server, named, response);
    },
    async credentials() {
      const response = await oauth.clientCredentialsGrantRequest(server, named, auth, {}, insecure);
      return oauth.processClientCredentialsResponse(server, named, response);
    },
    async introspect(token) {
      const response = await oauth.introspectionRequest(server, named, auth, token, insecure);
      return oauth.processIntrospectionResponse(server, named, response);
    },
    async revoke(token) {
      return oauth.processRevocationResponse(await oauth.revocationRequest(server, named, auth, token, insecure));
    },
  };
}

async function withOpenidClient(client) {
  const options = { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] };
  const config = await openid.discovery(issuer, client.id, {}, await proof(client, openid), options);
  return {
    grant: (type, parameters) => openid.genericGrantRequest(config, type, parameters),
    credentials: () => openid.clientCredentialsGrant(config),
    introspect: (token) => openid.tokenIntrospection(config, token),
    revoke: (token) => openid.tokenRevocation(config, token),
  };
}

async function story(connect, number) {
  const seen = {};
  for (const client of told.clients) {
    const peer = await connect(client);
    const token = await peer.credentials();
    const before = await peer.introspect(token.access_token);
    await peer.revoke(token.access_token);
    const after = await peer.introspect(token.access_token);
    seen[client.method] = { scope: token.scope, lives: before.active, sub: before.sub, ended: !after.active };
  }
  const workload = await (await connect({ id: 'workload', method: 'none' })).grant(
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
    { assertion: told.assertions[number], organization_id: told.organization },
  );
  seen.workload = { scope: workload.scope, type: workload.token_type };
  const exchanger = await connect(told.exchanger);
  const subject = { subject_token: told.subject, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' };
  const exchanged = await exchanger.grant(EXCHANGE, { ...subject, scope: 'openid' });
  const meaning = await exchanger.introspect(exchanged.access_token);
  seen.exchanged = { scope: exchanged.scope, issued: exchanged.issued_token_type, act: meaning.act };
  seen.wrong = await (await connect({ ...told.clients[0], secret: told.exchanger.secret }))
    .credentials()
    .then(() => 'accepted', (error) => error.error ?? error.cause?.[0]?.scheme ?? String(error));
  return seen;
}

console.log(JSON.stringify({
  oauth4webapi: await story(withOauth4webapi, 0),
  'openid-client': await story(withOpenidClient, 1),
}));
