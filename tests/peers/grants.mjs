// Every grant that needs no person, by two certified relying-party libraries, with every way to authenticate, and each also
// with signed requests (DPoP) whose nonce the server gives.
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

async function withOauth4webapi(client, signs) {
  const named = { client_id: client.id };
  const auth = await proof(client, oauth);
  const options = signs ? { ...insecure, DPoP: oauth.DPoP(named, await oauth.generateKeyPair('ES256')) } : insecure;
  const again = async (ask) => ask().catch((error) => (oauth.isDPoPNonceError(error) ? ask() : Promise.reject(error)));
  return {
    grant: (type, parameters) => again(async () => oauth.processGenericTokenEndpointResponse(
      server, named, await oauth.genericTokenEndpointRequest(server, named, auth, type, parameters, options))),
    credentials: () => again(async () => oauth.processClientCredentialsResponse(
      server, named, await oauth.clientCredentialsGrantRequest(server, named, auth, {}, options))),
    async introspect(token) {
      const response = await oauth.introspectionRequest(server, named, auth, token, insecure);
      return oauth.processIntrospectionResponse(server, named, response);
    },
    async revoke(token) {
      return oauth.processRevocationResponse(await oauth.revocationRequest(server, named, auth, token, insecure));
    },
  };
}

async function withOpenidClient(client, signs) {
  const options = { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] };
  const config = await openid.discovery(issuer, client.id, {}, await proof(client, openid), options);
  const signing = signs ? { DPoP: openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256')) } : undefined;
  return {
    grant: (type, parameters) => openid.genericGrantRequest(config, type, parameters, signing),
    credentials: () => openid.clientCredentialsGrant(config, undefined, signing),
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
  for (const [signs, name] of [[false, 'workload'], [true, 'signed workload']]) {
    const workload = await (await connect({ id: 'workload', method: 'none' }, signs)).grant(
      'urn:ietf:params:oauth:grant-type:jwt-bearer',
      { assertion: told.assertions[2 * number + signs], organization_id: told.organization },
    );
    seen[name] = { scope: workload.scope, type: workload.token_type.toLowerCase() };
  }
  const signing = await connect(told.clients[0], true);
  seen.signed = (await signing.credentials()).token_type.toLowerCase();
  const exchanger = await connect(told.exchanger);
  const subject = { subject_token: told.subject, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' };
  const exchanged = await exchanger.grant(EXCHANGE, { ...subject, scope: 'openid' });
  const meaning = await exchanger.introspect(exchanged.access_token);
  seen.exchanged = { scope: exchanged.scope, issued: exchanged.issued_token_type, act: meaning.act };
  const bound = await (await connect(told.exchanger, true)).grant(EXCHANGE, { ...subject, scope: 'openid' });
  seen.bound = { type: bound.token_type.toLowerCase(), meaning: (await exchanger.introspect(bound.access_token)).token_type };
  seen.wrong = await (await connect({ ...told.clients[0], secret: told.exchanger.secret }))
    .credentials()
    .then(() => 'accepted', (error) => error.error ?? error.cause?.[0]?.scheme ?? String(error));
  return seen;
}

console.log(JSON.stringify({
  oauth4webapi: await story(withOauth4webapi, 0),
  'openid-client': await story(withOpenidClient, 1),
}));
