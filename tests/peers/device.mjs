// A device that a person signs in, by one of two certified relying-party libraries and with signed requests (DPoP): polling until
// the answer, refresh, the bound token handed on (token exchange) with and without a proof, introspection, revocation.
// Told: library, issuer, client_id, exchanger (id, secret), cookie (a browser's session), clock (an address that lets five
// seconds pass and says whether the person is to approve now).
import { readFileSync } from 'node:fs';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { confirming } from './browser.mjs';

const told = JSON.parse(readFileSync(0, 'utf8'));
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(told.issuer);
const scope = 'openid offline_access models:use';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const subject = (token) => ({
  subject_token: token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', scope: 'openid',
});
const confirm = confirming(told.issuer, told.cookie);
const failure = (error) => error.error ?? String(error);
const ended = [() => 'alive', () => 'ended'];

let started;
const fiveSeconds = async () => {
  const { approve } = await (await fetch(told.clock)).json();
  if (approve) await confirm(started.verification_uri_complete);
};

async function withOauth4webapi() {
  const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
  const [client, exchanger] = [{ client_id: told.client_id }, { client_id: told.exchanger.id }];
  const keys = await oauth.generateKeyPair('ES256');
  const options = { ...insecure, DPoP: oauth.DPoP(client, keys) };
  const again = async (ask) => ask().catch((error) => (oauth.isDPoPNonceError(error) ? ask() : Promise.reject(error)));
  started = await oauth.processDeviceAuthorizationResponse(
    server, client, await oauth.deviceAuthorizationRequest(server, client, oauth.None(), { scope }, insecure));
  const poll = () => again(async () => oauth.processDeviceCodeResponse(
    server, client, await oauth.deviceCodeGrantRequest(server, client, oauth.None(), started.device_code, options)));
  let [tokens, interval] = [undefined, started.interval];
  while (tokens === undefined) {
    for (let waited = 0; waited < interval; waited += 5) await fiveSeconds();
    tokens = await poll().catch((error) => {
      if (!['authorization_pending', 'slow_down'].includes(error.error)) throw error;
      if (error.error === 'slow_down') interval += 5;
    });
  }
  const refresh = async (token) => oauth.processRefreshTokenResponse(
    server, client, await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token, options));
  const renewed = await refresh(tokens.refresh_token);
  const auth = oauth.ClientSecretBasic(told.exchanger.secret);
  const exchange = async (how) => oauth.processGenericTokenEndpointResponse(
    server, exchanger,
    await oauth.genericTokenEndpointRequest(server, exchanger, auth, EXCHANGE, subject(renewed.access_token), how));
  const unsigned = await exchange(insecure).catch(failure);
  const signing = { ...insecure, DPoP: oauth.DPoP(exchanger, keys) };
  const exchanged = await again(() => exchange(signing));
  const meaning = await oauth.processIntrospectionResponse(
    server, exchanger, await oauth.introspectionRequest(server, exchanger, auth, exchanged.access_token, insecure));
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(server, client, oauth.None(), renewed.refresh_token, insecure));
  return seen(tokens, renewed, unsigned, exchanged, meaning, await refresh(renewed.refresh_token).then(...ended));
}

async function withOpenidClient() {
  const options = { execute: [openid.allowInsecureRequests] };
  const config = await openid.discovery(issuer, told.client_id, {}, openid.None(), options);
  const keys = await openid.randomDPoPKeyPair('ES256');
  const DPoP = openid.getDPoPHandle(config, keys);
  started = await openid.initiateDeviceAuthorization(config, { scope });
  const patience = globalThis.setTimeout;
  globalThis.setTimeout = (go, delay, ...more) => (delay === 5000 ? void fiveSeconds().then(go) : patience(go, delay, ...more));
  const tokens = await openid.pollDeviceAuthorizationGrant(config, started, undefined, { DPoP });
  globalThis.setTimeout = patience;
  const renewed = await openid.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  const auth = openid.ClientSecretBasic(told.exchanger.secret);
  const own = await openid.discovery(issuer, told.exchanger.id, {}, auth, options);
  const exchange = (how) => openid.genericGrantRequest(own, EXCHANGE, subject(renewed.access_token), how);
  const unsigned = await exchange().catch(failure);
  const exchanged = await exchange({ DPoP: openid.getDPoPHandle(own, keys) });
  const meaning = await openid.tokenIntrospection(own, exchanged.access_token);
  await openid.tokenRevocation(config, renewed.refresh_token);
  const after = await openid.refreshTokenGrant(config, renewed.refresh_token, undefined, { DPoP }).then(...ended);
  return seen(tokens, renewed, unsigned, exchanged, meaning, after);
}

function seen(tokens, renewed, unsigned, exchanged, meaning, after) {
  return {
    type: tokens.token_type.toLowerCase(), renewed: renewed.token_type.toLowerCase(),
    scope: tokens.scope, unsigned, after,
    exchanged: { type: exchanged.token_type.toLowerCase(), scope: exchanged.scope, act: meaning.act, meaning: meaning.token_type },
  };
}

console.log(JSON.stringify(await (told.library === 'oauth4webapi' ? withOauth4webapi() : withOpenidClient())));
