// Programs that register themselves by two certified relying-party libraries, and then do what they registered for: a person's
// sign-in with an ID token, and a token in their own name. Told: issuer, people and service (initial access tokens), redirect_uri,
// cookie (a browser's session).
import { readFileSync } from 'node:fs';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { browser } from './browser.mjs';

const told = JSON.parse(readFileSync(0, 'utf8'));
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(told.issuer);
const approve = browser(told.issuer, told.cookie);
const people = { client_name: 'Editor', redirect_uris: [told.redirect_uri], scope: 'openid email models:use' };
const service = { client_name: 'Deploy', grant_types: ['client_credentials'], scope: 'models:use' };

async function withOauth4webapi() {
  const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
  const register = async (metadata, initialAccessToken) => oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(server, metadata, { initialAccessToken, ...insecure }));
  const client = await register(people, told.people);
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const there = new URL(server.authorization_endpoint);
  there.search = new URLSearchParams({
    client_id: client.client_id, response_type: 'code', redirect_uri: told.redirect_uri, scope: client.scope, state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  });
  const back = oauth.validateAuthResponse(server, client, await approve(there), state);
  const auth = oauth.ClientSecretBasic(client.client_secret);
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, await oauth.authorizationCodeGrantRequest(
    server, client, auth, back, told.redirect_uri, verifier, insecure), { requireIdToken: true });
  const own = await register(service, told.service);
  const granted = await oauth.processClientCredentialsResponse(server, own, await oauth.clientCredentialsGrantRequest(
    server, own, oauth.ClientSecretBasic(own.client_secret), {}, insecure));
  const refused = await register(people, told.service).catch((error) => error.error);
  const stranger = await register(people, 'ksi_').catch((error) => error.cause[0].parameters.error);
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  return seen(client, tokens, claims, granted, refused, stranger);
}

async function withOpenidClient() {
  const register = (metadata, initialAccessToken) => openid.dynamicClientRegistration(
    issuer, metadata, undefined, { initialAccessToken, execute: [openid.allowInsecureRequests] });
  const config = await register(people, told.people);
  const client = config.clientMetadata();
  const pkceCodeVerifier = openid.randomPKCECodeVerifier();
  const expectedState = openid.randomState();
  const there = openid.buildAuthorizationUrl(config, {
    redirect_uri: told.redirect_uri, scope: client.scope, state: expectedState,
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
  });
  const checks = { pkceCodeVerifier, expectedState, idTokenExpected: true };
  const tokens = await openid.authorizationCodeGrant(config, await approve(there), checks);
  const granted = await openid.clientCredentialsGrant(await register(service, told.service));
  const refused = await register(people, told.service).catch((error) => error.error);
  const stranger = await register(people, 'ksi_').catch((error) => error.cause[0].parameters.error);
  return seen(client, tokens, tokens.claims(), granted, refused, stranger);
}

function seen(client, tokens, claims, granted, refused, stranger) {
  return {
    registered: client.scope, signed: tokens.scope, ours: claims.aud === client.client_id, own: granted.scope, refused, stranger,
  };
}

console.log(JSON.stringify({ oauth4webapi: await withOauth4webapi(), 'openid-client': await withOpenidClient() }));
