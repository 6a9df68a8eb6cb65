// A real OpenID provider (the npm package oidc-provider) for tests. In: a JSON file, whose path is the only argument;
// out: one line on stdout once it listens. Everything it knows is in memory; only its signing keys are in a file.
//
//   issuer, port, key, certificate   where it is, and its TLS identity (PEM files)
//   keys                             file of the signing keys (JWKS with private keys)
//   audience, lifetime               of access tokens; seconds
//   users                            name -> { password, groups }
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const wanted = JSON.parse(readFileSync(process.argv[2], 'utf8'));

const device = {
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
  response_types: [],
  redirect_uris: [],
};
const account = (name) => ({
  accountId: name,
  claims: () => ({ sub: name, preferred_username: name, groups: wanted.users[name].groups }),
});

const provider = new Provider(wanted.issuer, {
  jwks: JSON.parse(readFileSync(wanted.keys, 'utf8')),
  cookies: { keys: [randomBytes(16).toString('hex')] },
  clients: [
    { client_id: 'desk', ...device },
    { client_id: 'desk-es256', ...device },
    { client_id: 'desk-opaque', ...device },
    { client_id: 'desk-bound', tls_client_certificate_bound_access_tokens: true, ...device },
    { client_id: 'gate', client_secret: 'gate-secret', grant_types: [], response_types: [], redirect_uris: [] },
  ],
  scopes: ['openid', 'offline_access', 'groups'],
  claims: { openid: ['sub'], groups: ['groups', 'preferred_username'] },
  rotateRefreshToken: true,
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: {
    AccessToken: wanted.lifetime, DeviceCode: 300, Grant: 3600, IdToken: 300, Interaction: 300, RefreshToken: 3600, Session: 3600,
  },
  extraTokenClaims: (ctx, token) => (wanted.users[token.accountId]
    ? { preferred_username: token.accountId, realm_access: { roles: wanted.users[token.accountId].groups } }
    : undefined),
  findAccount: (ctx, name) => (wanted.users[name] ? account(name) : undefined),
  interactions: { url: (ctx, interaction) => `/sign-in/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      getCertificate: (ctx) => {
        const shown = ctx.req.socket.getPeerX509Certificate();
        return shown ? shown.toString() : undefined;
      },
    },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: (ctx, form) => { ctx.body = form; },
      userCodeConfirmSource: (ctx, form) => { ctx.body = form; },
      successSource: (ctx) => { ctx.body = 'signed in'; },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => wanted.audience,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, indicator, client) => ({
        scope: 'groups',
        audience: indicator,
        accessTokenTTL: wanted.lifetime,
        accessTokenFormat: client.clientId === 'desk-opaque' ? 'opaque' : 'jwt',
        jwt: { sign: { alg: client.clientId === 'desk-es256' ? 'ES256' : 'RS256' } },
      }),
    },
  },
});
provider.on('server_error', (ctx, error) => console.error(error));

async function form(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return new URLSearchParams(Buffer.concat(pieces).toString());
}

async function signIn(request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  if (prompt.name === 'consent') {
    const { params, session } = await provider.interactionDetails(request, response);
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope ?? 'openid');
    grant.addResourceScope(params.resource ?? wanted.audience, 'groups');
    const consent = { grantId: await grant.save() };
    return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
  }
  const typed = request.method === 'POST' ? await form(request) : new URLSearchParams();
  const name = typed.get('name');
  if (wanted.users[name] && wanted.users[name].password === typed.get('password')) {
    return provider.interactionFinished(request, response, { login: { accountId: name } });
  }
  response.writeHead(200, { 'content-type': 'text/html' });
  return response.end('<form method="post" data-step="sign-in"><input name="name"><input name="password"></form>');
}

const others = provider.callback();
const server = createServer({
  key: readFileSync(wanted.key),
  cert: readFileSync(wanted.certificate),
  requestCert: true,
  rejectUnauthorized: false,
}, (request, response) => {
  if (!request.url.startsWith('/sign-in/')) return others(request, response);
  return signIn(request, response).catch((error) => {
    console.error(error);
    response.writeHead(400);
    response.end();
  });
});
server.listen(wanted.port, '127.0.0.1', () => console.log('listening'));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
