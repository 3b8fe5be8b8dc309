// A person's browser at the authorization server, as the peers that sign people in need it.

// Returns what opens an address that a device shows, and confirms its code in two steps, as the page has it.
export const confirming = (issuer, cookie) => async (url) => {
  const page = await fetch(url, { headers: { cookie } });
  const csrf = page.headers.getSetCookie().find((one) => one.startsWith('csrftoken=')).split(';')[0];
  const headers = { cookie: `${cookie}; ${csrf}`, origin: issuer, 'content-type': 'application/x-www-form-urlencoded' };
  const csrfmiddlewaretoken = (await page.text()).match(/name="csrfmiddlewaretoken" value="([^"]+)"/)[1];
  const user_code = new URL(url).searchParams.get('user_code');
  for (const [decision, expected] of [[{}, 'device in front of you'], [{ decision: 'approve' }, 'Return to your device']]) {
    const body = new URLSearchParams({ csrfmiddlewaretoken, user_code, ...decision });
    const text = await (await fetch(`${issuer}/device`, { method: 'POST', headers, body })).text();
    if (!text.includes(expected)) throw new Error(`the page does not say "${expected}": ${text}`);
  }
};

// Returns what opens an address, reads the form's token, says yes, and gives the address it is sent to.
export const browser = (issuer, cookie) => async (url) => {
  const page = await fetch(url, { headers: { cookie }, redirect: 'manual' });
  const text = await page.text();
  if (page.status !== 200) throw new Error(`the page answered ${page.status}: ${text}`);
  const form = text.match(/name="csrfmiddlewaretoken" value="([^"]+)"/)[1];
  const csrf = page.headers.getSetCookie().find((one) => one.startsWith('csrftoken=')).split(';')[0];
  const answer = await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: `${cookie}; ${csrf}`, origin: issuer, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ csrfmiddlewaretoken: form, decision: 'approve' }),
  });
  if (answer.status !== 303) throw new Error(`the form answered ${answer.status}: ${await answer.text()}`);
  return new URL(answer.headers.get('location'));
};
