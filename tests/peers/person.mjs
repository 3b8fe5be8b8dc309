// A person's sign-in by two certified relying-party libraries: discovery, pushed request, authorization code with PKCE, proof of
// possession with a nonce, ID token, userinfo, refresh. Told: issuer, client_id, redirect_uri, cookie (a browser's session).
import { readFileSync } from 'node:fs';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { browser } from './browser.mjs';

const told = JSON.parse(readFileSync(0, 'utf8'));
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(told.issuer);
const scope = 'openid offline_access models:use';
const resource = told.issuer;
const approve = browser(told.issuer, told.cookie);

async function withOauth4webapi() {
  const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
  const client = { client_id: told.client_id };
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
  const options = { ...insecure, DPoP };
  const again = async (ask) => ask().catch((error) => (oauth.isDPoPNonceError(error) ? ask() : Promise.reject(error)));
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const wanted = {
    response_type: 'code', redirect_uri: told.redirect_uri, scope, state, nonce, resource, max_age: '3600',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  };
  const pushed = await again(async () => oauth.processPushedAuthorizationResponse(
    server, client, await oauth.pushedAuthorizationRequest(server, client, oauth.None(), new URLSearchParams(wanted), options)));
  const there = new URL(server.authorization_endpoint);
  there.search = new URLSearchParams({ client_id: told.client_id, request_uri: pushed.request_uri });
  const back = oauth.validateAuthResponse(server, client, await approve(there), state);
  const tokens = await again(async () => oauth.processAuthorizationCodeResponse(
    server, client,
    await oauth.authorizationCodeGrantRequest(server, client, oauth.None(), back, told.redirect_uri, verifier, options),
    { expectedNonce: nonce, maxAge: 3600, requireIdToken: true }));
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  const about = await oauth.processUserInfoResponse(
    server, client, claims.sub, await oauth.userInfoRequest(server, client, tokens.access_token, options));
  const renewed = await oauth.processRefreshTokenResponse(
    server, client, await oauth.refreshTokenGrantRequest(server, client, oauth.None(), tokens.refresh_token, options));
  const stolen = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), renewed.refresh_token, insecure);
  const guarded = await oauth.resourceDiscoveryRequest(issuer, insecure);
  const described = await oauth.processResourceDiscoveryResponse(issuer, guarded);
  return seen(tokens, claims, about, renewed, stolen.status, described.authorization_servers);
}

async function withOpenidClient() {
  const config = await openid.discovery(issuer, told.client_id, {}, openid.None(), { execute: [openid.allowInsecureRequests] });
  const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'));
  const verifier = openid.randomPKCECodeVerifier();
  const [expectedState, expectedNonce] = [openid.randomState(), openid.randomNonce()];
  const wanted = {
    redirect_uri: told.redirect_uri, scope, state: expectedState, nonce: expectedNonce, resource, max_age: '3600',
    code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  };
  const there = await openid.buildAuthorizationUrlWithPAR(config, wanted, { DPoP });
  const checks = { pkceCodeVerifier: verifier, expectedState, expectedNonce, maxAge: 3600, idTokenExpected: true };
  const tokens = await openid.authorizationCodeGrant(config, await approve(there), checks, undefined, { DPoP });
  const about = await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP });
  const renewed = await openid.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  const stolen = await openid.refreshTokenGrant(config, renewed.refresh_token).then(() => 200, (error) => error.status);
  return seen(tokens, tokens.claims(), about, renewed, stolen, [told.issuer]);
}

function seen(tokens, claims, about, renewed, stolen, servers) {
  return {
    type: tokens.token_type.toLowerCase(), renewed: renewed.token_type.toLowerCase(), scope: tokens.scope,
    same: claims.sub === about.sub, email: about.email, sid: claims.sid.slice(0, 4), acr: claims.acr, stolen, servers,
  };
}

console.log(JSON.stringify({ oauth4webapi: await withOauth4webapi(), 'openid-client': await withOpenidClient() }));
