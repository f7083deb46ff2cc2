"""What is in a bucket or container, seen and changed without the program that
is tested: S3 with its signature of version 4, and Azure Blob with the key of an
account.

    o = objects.of(store, "bucket")
    o.make(); o.put("key", b"bytes"); o.get("key"); o.list("pre"); o.delete("key")
"""

import base64
import hashlib
import hmac
import http.client
import time
import urllib.parse
import xml.etree.ElementTree as xml


class Refused(Exception):
    """The store's answer was none that was expected; its status is args[0]."""


def of(store, bucket):
    e = store.env
    if store.kind == "azurite":
        return Azure("127.0.0.1", store.port, e["AZURE_STORAGE_ACCOUNT"],
                     e["AZURE_STORAGE_KEY"], bucket)
    return S3("127.0.0.1", store.port, e["AWS_ACCESS_KEY_ID"],
              e["AWS_SECRET_ACCESS_KEY"], bucket)


def quote(text, safe="/"):
    return urllib.parse.quote(text, safe=safe + "-_.~")


class Objects:
    """What both have in common: one connection, plain HTTP."""

    def __init__(self, host, port, user, secret, bucket):
        self.host, self.port, self.bucket = host, port, bucket
        self.user, self.secret = user, secret
        self.http = None

    def _once(self, method, path, query, headers, body):
        if self.http is None:
            self.http = http.client.HTTPConnection(self.host, self.port,
                                                   timeout=60)
        try:
            self.http.request(method, quote(path) + ("?" + "&".join(
                "%s=%s" % (quote(k, ""), quote(v, ""))
                for k, v in sorted(query.items())) if query else ""),
                body, headers)
            r = self.http.getresponse()
            return r.status, r.read()
        except (OSError, http.client.HTTPException):
            self.http.close()
            self.http = None
            raise

    def _send(self, method, path, query, body, want, more=()):
        for left in (1, 0):  # an idle connection may have been closed
            try:
                status, data = self._once(
                    method, path, query,
                    self._sign(method, path, query, body, dict(more)), body)
                break
            except (OSError, http.client.HTTPException):
                if left == 0:
                    raise
        if status not in want:
            raise Refused(status, "%s %s" % (method, path), data[:400])
        return status, data

    def make(self):
        self._send("PUT", self._path(), self.MAKE, b"", (200, 201, 409))

    def put(self, key, data):
        self._send("PUT", self._path(key), {}, data, (200, 201), self.PUT)

    def get(self, key):
        return self._send("GET", self._path(key), {}, b"", (200,))[1]

    def delete(self, key):
        self._send("DELETE", self._path(key), {}, b"", (202, 204))

    def list(self, prefix=""):
        """All keys with their sizes."""
        found, mark = {}, None
        while True:
            query = dict(self.LIST, prefix=prefix)
            if mark:
                query[self.MARK] = mark
            data = self._send("GET", self._path(), query, b"", (200,))[1]
            root = xml.fromstring(data)
            for x in root.iter():
                x.tag = x.tag.rsplit("}", 1)[-1]
            found.update(self._listed(root))
            mark = root.findtext(self.NEXT)
            if not mark:
                return found


class S3(Objects):
    MAKE, PUT, LIST = {}, {}, {"list-type": "2"}
    MARK, NEXT = "continuation-token", "NextContinuationToken"

    def _path(self, key=None):
        return "/" + self.bucket + ("/" + key if key is not None else "")

    @staticmethod
    def _listed(root):
        return {x.findtext("Key"): int(x.findtext("Size"))
                for x in root.iter("Contents")}

    def _sign(self, method, path, query, body, headers):
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = now[:8] + "/us-east-1/s3/aws4_request"
        digest = hashlib.sha256(body).hexdigest()
        signed = {k.lower(): v for k, v in headers.items()}
        signed.update({"host": "%s:%d" % (self.host, self.port),
                       "x-amz-date": now, "x-amz-content-sha256": digest})
        names = ";".join(sorted(signed))
        canonical = "\n".join(
            [method, quote(path), "&".join(
                "%s=%s" % (quote(k, ""), quote(v, ""))
                for k, v in sorted(query.items()))] +
            ["%s:%s" % (k, signed[k]) for k in sorted(signed)] +
            ["", names, digest])
        text = "\n".join(("AWS4-HMAC-SHA256", now, scope, hashlib.sha256(
            canonical.encode()).hexdigest()))
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        signed["authorization"] = (
            "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"
            % (self.user, scope, names, hmac.new(
                key, text.encode(), "sha256").hexdigest()))
        return signed


class Azure(Objects):
    MAKE, PUT = {"restype": "container"}, {"x-ms-blob-type": "BlockBlob"}
    LIST = {"restype": "container", "comp": "list"}
    MARK, NEXT = "marker", "NextMarker"

    def _path(self, key=None):
        return "/%s/%s" % (self.user, self.bucket) + (
            "/" + key if key is not None else "")

    @staticmethod
    def _listed(root):
        return {x.findtext("Name"): int(x.findtext("Properties/Content-Length"))
                for x in root.iter("Blob")}

    def _sign(self, method, path, query, body, headers):
        headers = dict(headers, **{
            "x-ms-date": time.strftime("%a, %d %b %Y %H:%M:%S GMT",
                                       time.gmtime()),
            "x-ms-version": "2020-10-02"})
        length = str(len(body)) if body else ""
        if method == "PUT":
            headers["Content-Length"] = str(len(body))
            headers["Content-Type"] = "application/octet-stream"
        text = "\n".join(
            [method, "", "", length, "", headers.get("Content-Type", ""),
             "", "", "", "", "", ""] +
            ["%s:%s" % (k, headers[k]) for k in sorted(headers)
             if k.startswith("x-ms-")] +
            ["/" + self.user + quote(path)] +
            ["%s:%s" % (k, query[k]) for k in sorted(query)])
        headers["Authorization"] = "SharedKey %s:%s" % (
            self.user, base64.b64encode(hmac.new(
                base64.b64decode(self.secret), text.encode(),
                "sha256").digest()).decode())
        return headers
