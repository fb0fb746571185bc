"""A program's own words about itself are taken apart into a product and a version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.protocols.software import software


@pytest.mark.parametrize(
    ("told", "product", "version"),
    [
        ("nginx/1.22.1", "nginx", "1.22.1"),
        ("nginx", "nginx", None),
        ("Apache/2.4.62 (Debian) OpenSSL/3.0", "Apache", "2.4.62"),
        ("Apache", "Apache", None),
        ("Apache-Coyote/1.1", "Apache Tomcat", None),
        ("Microsoft-IIS/10.0", "Microsoft-IIS", "10.0"),
        ("Microsoft-HTTPAPI/2.0", "Microsoft-HTTPAPI", "2.0"),
        ("cloudflare", "cloudflare", None),
        ("SimpleHTTP/0.6 Python/3.11.7", "SimpleHTTP", "0.6"),
        ("Python/3.11 aiohttp/3.8.4", "aiohttp", "3.8.4"),
        ("Icecast 2.4.4", "Icecast", "2.4.4"),
        ("CUPS/2.4 IPP/2.1", "CUPS", "2.4"),
        ("Jetty(9.4.57.v20241219)", "Jetty", "9.4.57.v20241219"),
        ("WEBrick/1.6.1 (Ruby/2.7.4/2021-07-07)", "WEBrick", "1.6.1"),
        ("gunicorn", "gunicorn", None),
        ("lighttpd/1.4.69", "lighttpd", "1.4.69"),
        ("Zope/(2.13.19, python 2.7.3)", "Zope", None),
        ("mini_httpd/1.30 26Oct2018", "mini_httpd", "1.30"),
        ("micro_httpd", "micro_httpd", None),
        ("GoAhead-Webs", "GoAhead-Webs", None),
        ("RomPager/4.07 UPnP/1.0", "RomPager", "4.07"),
        ("Linux/5.10, UPnP/1.0, Portable SDK for UPnP devices/1.14.13", "Portable SDK for UPnP devices", "1.14.13"),
        ("Debian/12 DLNADOC/1.50 UPnP/1.0 MiniDLNA/1.3.0", "MiniDLNA", "1.3.0"),
        ("Debian/12 UPnP/1.1 MiniUPnPd/2.3.1", "MiniUPnPd", "2.3.1"),
        ("Payara Server  5.2022.3 #badassfish", "Payara Server", "5.2022.3"),
        ("GlassFish Server Open Source Edition  5.1.0", "GlassFish Server Open Source Edition", "5.1.0"),
        ("nginx/1.22.1 + Phusion Passenger(R) 6.0.17", "nginx", "1.22.1"),
        ("Oracle-HTTP-Server/12c", "Oracle-HTTP-Server", "12c"),
        ("HFS 2.3m", "HFS", "2.3m"),
        ("Hiawatha v10.11", "Hiawatha", "10.11"),
        ("cisco-IOS", "cisco-IOS", None),
        ("kamailio (5.6.3 (x86_64/linux))", "Kamailio", "5.6.3"),
        ("Asterisk PBX 18.10.0~dfsg+~cs6.10.40431411-2", "Asterisk", "18.10.0~dfsg+~cs6.10.40431411-2"),
        ("FPBX-16.0.40.7(18.14.0)", "FreePBX", "16.0.40.7"),
        ("OpenSIPS (3.2.5 (x86_64/linux))", "OpenSIPS", "3.2.5"),
        (
            "FreeSWITCH-mod_sofia/1.10.7-release+git~20211024T163933Z~883d2cb662~64bit",
            "FreeSWITCH",
            "1.10.7-release+git~20211024T163933Z~883d2cb662~64bit",
        ),
        ("3CXPhoneSystem 18.0.5.418 (417)", "3CXPhoneSystem", "18.0.5.418"),
        ("Yealink SIP-T46S 66.84.0.15", "Yealink SIP-T46S", "66.84.0.15"),
        ("Grandstream HT802 1.0.17.5", "Grandstream HT802", "1.0.17.5"),
        ("AVM FRITZ!Box 7590 154.07.29 TAL (Sep 2 2021)", "AVM FRITZ!Box 7590", "154.07.29"),
        ("Cisco-SIPGateway/IOS-15.2.4.M", "Cisco-SIPGateway", None),
        ("Coturn-4.6.1 'Gorst'", "coturn", "4.6.1"),
        ("None", None, None),
        ("Docker/24.0.5 (linux)", "Docker", "24.0.5"),
        ("Libpod/4.3.1 (linux)", "Podman", "4.3.1"),
        ("MinIO", "MinIO", None),
        ("Caddy", "Caddy", None),
        ("Werkzeug/2.2.2 Python/3.11.2", "Werkzeug", "2.2.2"),
        ("CouchDB/3.3.2 (Erlang OTP/24)", "CouchDB", "3.3.2"),
        ("MochiWeb/1.0 (Any of you quaids got a smint?)", "MochiWeb", "1.0"),
        ("Wowza Streaming Engine 4.8.0 build20200609", "Wowza Streaming Engine", "4.8.0"),
        ("GStreamer RTSP server", "GStreamer RTSP server", None),
        ("Hipcam RealServer/V1.0", "Hipcam RealServer", "1.0"),
        ("VLC/3.0.18", "VLC", "3.0.18"),
        ("Dahua Rtsp Server", "Dahua Rtsp Server", None),
        ("AirTunes/366.0", "AirTunes", "366.0"),
        ("Embedthis-http", "Embedthis-http", None),
        ("Boa/0.94.14rc21", "Boa", "0.94.14rc21"),
        ("Werkzeug/2.2.2", "Werkzeug", "2.2.2"),
        ("squid/5.7", "Squid", "5.7"),
        ("tinyproxy/1.11.1", "tinyproxy", "1.11.1"),
        ("IBM_HTTP_Server/8.5.5.0 (Unix)", "IBM_HTTP_Server", "8.5.5.0"),
        ("TwistedWeb/22.4.0", "Twisted", "22.4.0"),
        ("h2o/2.2.5", "h2o", "2.2.5"),
        ("Mbedthis-Appweb/2.4.2", "Mbedthis-Appweb", "2.4.2"),
        ("Virata-EmWeb/R6_2_1", "Virata-EmWeb", "6_2_1"),
        ("Cherokee/1.2.103 (Debian)", "Cherokee", "1.2.103"),
        ("WSGIServer/0.2 CPython/3.11.2", "WSGIServer", "0.2"),
        ("(nothing)", "(nothing)", None),
        ("/", "/", None),
        (" ", None, None),
        ("Linux, HTTP/1.1, DIR-850L Ver 1.14", "Linux", None),
        ("WildFly/10", "WildFly", "10"),
        ("openresty/1.21.4.1", "openresty", "1.21.4.1"),
        ("Restund v0.4.12 (c++)", "Restund", "0.4.12"),
        ("eturnal 1.10.1", "eturnal", "1.10.1"),
        ("ejabberd 23.01", "ejabberd", "23.01"),
        ("Citrix-3.2.4.5 'Marshal West'", "Citrix", "3.2.4.5"),
    ],
)
def test_programs_name_themselves(told: str, product: str | None, version: str | None) -> None:
    assert software(told) == (product, version)


@given(st.text(max_size=400))
def test_any_text_is_taken(told: str) -> None:
    product, version = software(told)
    assert product is None or 0 < len(product) <= 300
    assert version is None or version in told
