// oidc-provider, set up as providers are that rotate refresh tokens: one that comes a second time ends the login.
// A JSON line on standard input says what is to change; it prints its address, and a line for each change.
//   pause   milliseconds between what is done and the answer to a refresh
//   grace   seconds in which a refresh token may come a second time
//   lose    how many answers to refreshes break off
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';

const setting = { pause: 0, grace: 0, lose: 0 };
const counts = { refresh: 0, granted: 0, refused: 0, revoked: 0 };

class Adapter extends MemoryAdapter {
  // A provider with a grace takes a token for unused until that is over.
  async find(id) {
    const found = await super.find(id);
    if (!found?.consumed || Date.now() / 1000 - found.consumed > setting.grace) return found;
    const { consumed, ...unused } = found;
    return unused;
  }
}

const port = Number(process.argv[2] ?? 0);
const listener = createServer();
await new Promise((resolve) => listener.listen(port, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${listener.address().port}`;

const provider = new Provider(issuer, {
  adapter: Adapter,
  clients: [
    {
      client_id: 'public', application_type: 'native', token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/callback'], response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    },
    {
      client_id: 'confidential', client_secret: 'a +secret/of:its own%', application_type: 'native',
      redirect_uris: ['http://127.0.0.1/callback'], response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    },
  ],
  claims: { openid: ['sub'], email: ['email'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['a key of the tests'] },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    userinfo: { enabled: true },
  },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, email: `${sub}@example.com` }) }),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, RefreshToken: 86400, DeviceCode: 600, Grant: 86400, Session: 86400, IdToken: 3600, Interaction: 600 },
});

provider.use(async (ctx, next) => {
  await next();
  if (ctx.path !== '/token' || ctx.oidc?.params?.grant_type !== 'refresh_token') return;
  counts.refresh += 1;
  counts[ctx.status === 200 ? 'granted' : 'refused'] += 1;
  if (ctx.status === 200 && setting.lose > 0) {
    setting.lose -= 1;
    ctx.res.destroy();
    return;
  }
  await new Promise((resolve) => setTimeout(resolve, setting.pause));
});
provider.on('grant.revoked', () => { counts.revoked += 1; });

listener.on('request', provider.callback());
process.stdout.write(`${JSON.stringify({ issuer })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  Object.assign(setting, JSON.parse(line));
  process.stdout.write(`${JSON.stringify(counts)}\n`);
}
process.exit(0);
