"""XML-RPC answers as XAPI writes them (ocaml-rpc, src/lib/xmlrpc.ml): no white space between tags (Xen Orchestra's
parser stumbles over it), strings and integers bare in <value>, control characters dropped."""

_ESCAPES = {ord(">"): "&gt;", ord("<"): "&lt;", ord("&"): "&amp;", ord('"'): "&quot;",
            **{n: None for n in range(32) if n not in (9, 10, 13)}}


class Int32(int):
    """The one integer type that gets a tag: the counts of event.from."""


def value(v):
    if v is None:
        return "<value><nil/></value>"
    if isinstance(v, bool):
        return f"<value><boolean>{int(v)}</boolean></value>"
    if isinstance(v, Int32):
        return f"<value><i4>{int(v)}</i4></value>"
    if isinstance(v, int):
        return f"<value>{v}</value>"
    if isinstance(v, float):
        return f"<value><double>{v:.16g}</double></value>"
    if isinstance(v, str):
        return f"<value>{v.translate(_ESCAPES)}</value>"
    if isinstance(v, dict):
        members = "".join(f"<member><name>{k.translate(_ESCAPES)}</name>{value(one)}</member>" for k, one in v.items())
        return f"<value><struct>{members}</struct></value>"
    return "<value><array><data>" + "".join(map(value, v)) + "</data></array></value>"


def response(v):
    return f'<?xml version="1.0"?><methodResponse><params><param>{value(v)}</param></params></methodResponse>'


def success(v):
    if isinstance(v, dict) and "valid_ref_counts" in v:
        v = {**v, "valid_ref_counts": {k: Int32(n) for k, n in v["valid_ref_counts"].items()}}
    return response({"Status": "Success", "Value": v})


def failure(words):
    return response({"Status": "Failure", "ErrorDescription": words})
