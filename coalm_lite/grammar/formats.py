"""`format` as patterns: those that the rules hold. Others that jsonschema knows are checked (ipv6, regex, idn-email),
the rest are annotations.

date: RFC 3339, only days that exist, years 0001 to 9999. time, date-time: RFC 3339 without leap seconds, up to nine
decimals, `T` and `Z` in capitals. email: a dotted name at a dotted host. uri, iri and their references: RFC 3986 and
3987, a uri with a scheme, without brackets. duration: RFC 3339. uuid, ipv4, hostname, the JSON pointers, uri-template:
as their RFCs, a host without its limit of 253.
"""

from __future__ import annotations

from collections.abc import Mapping

_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    rf"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_CLOCK}:[0-5][0-9](?:\.[0-9]{{1,9}})?(?:Z|[+-]{_CLOCK})"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_URI_CHARACTER = r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_HEX = "[0-9a-fA-F]"
_HOST_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_BEYOND = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\U00010000-\U0001fffd\U00020000-\U0003fffd"
_IRI_CHARACTER = rf"(?:[A-Za-z0-9._~:/?@!$&'()*+,;={_BEYOND}-]|%[0-9A-Fa-f]{{2}})"
_POINTER = r"(?:/(?:[^~/]|~[01])*)*"
_VARIABLE = r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*(?::[1-9][0-9]{0,3}|\*)?"
_SCHEME = "[A-Za-z][A-Za-z0-9+.-]*"
_IN_A_DAY = r"T(?:[0-9]+S|[0-9]+M(?:[0-9]+S)?|[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?)"
_DAYS = r"(?:[0-9]+D|[0-9]+M(?:[0-9]+D)?|[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?)"

FORMATS: Mapping[str, str] = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "duration": f"^P(?:[0-9]+W|{_DAYS}(?:{_IN_A_DAY})?|{_IN_A_DAY})$",
    "email": rf"^{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+$",
    "hostname": rf"^{_HOST_LABEL}(?:\.{_HOST_LABEL})*$",
    "ipv4": rf"^{_BYTE}(?:\.{_BYTE}){{3}}$",
    "uri": f"^{_SCHEME}:{_URI_CHARACTER}+(?:#{_URI_CHARACTER}*)?$",
    "uri-reference": f"^{_URI_CHARACTER}*(?:#{_URI_CHARACTER}*)?$",
    "iri": f"^{_SCHEME}:{_IRI_CHARACTER}+(?:#{_IRI_CHARACTER}*)?$",
    "iri-reference": f"^{_IRI_CHARACTER}*(?:#{_IRI_CHARACTER}*)?$",
    "uri-template": rf"^(?:{_URI_CHARACTER}|#|\{{[+#./;?&]?{_VARIABLE}(?:,{_VARIABLE})*\}})*$",
    "json-pointer": f"^{_POINTER}$",
    "relative-json-pointer": f"^(?:0|[1-9][0-9]*)(?:#|{_POINTER})$",
    "uuid": f"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}$",
}
