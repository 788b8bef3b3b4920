package message

import (
	"net/netip"
	"strings"
	"testing"
)

// receivedCase is a Received field and its expected reading.
type receivedCase struct {
	name, value        string
	client, helo, with string // client "" for one that cannot be read
	noFrom             bool
}

// Fields as servers write them. Names and addresses are examples; the shape of each is
// that of the server named.
var receivedForms = []receivedCase{
	{name: "Postfix", client: "198.51.100.7", helo: "mail.example", with: "ESMTPS", value: "from mail.example (mail.example [198.51.100.7])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519 server-signature RSA-PSS (2048 bits))\r\n\t(No client certificate requested)\r\n\tby relay.example (Postfix) with ESMTPS id 4WxYz12345z9q\r\n\tfor <a@example.org>; Mon, 23 Nov 2026 10:00:00 +0000 (UTC)"},
	{name: "Postfix, client certificate", client: "198.51.100.7", helo: "mail.example", with: "ESMTPS", value: "from mail.example (mail.example [198.51.100.7])\r\n\t(using TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits))\r\n\t(Client CN \"mail.example\", Issuer \"Some CA\" (verified OK))\r\n\tby relay.example (Postfix) with ESMTPS id 4Wx; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Postfix, no reverse DNS", client: "198.51.100.7", helo: "mail.example", with: "ESMTP", value: "from mail.example (unknown [198.51.100.7])\r\n\tby relay.example (Postfix) with ESMTP id 4Wx; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Postfix, IPv6", client: "2001:db8::7", helo: "mail.example", with: "ESMTP", value: "from mail.example (mail.example [IPv6:2001:db8::7])\r\n\tby relay.example (Postfix) with ESMTP id 4Wx; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Postfix, HELO is a literal", client: "198.51.100.7", helo: "[192.168.1.5]", with: "ESMTPSA", value: "from [192.168.1.5] (unknown [198.51.100.7])\r\n\t(Authenticated sender: ann@example.org)\r\n\tby relay.example (Postfix) with ESMTPSA id 4Wx\r\n\tfor <a@example.org>; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Postfix, unavailable", with: "ESMTP", value: "from mail.example (unknown [unknown])\r\n\tby relay.example (Postfix) with ESMTP id 4Wx; date"},
	{name: "Postfix, sendmail command", noFrom: true, value: "by relay.example (Postfix, from userid 1000)\r\n\tid 4Wx; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "amavis, before re-injection", client: "127.0.0.1", helo: "relay.example", with: "ESMTP", value: "from relay.example ([127.0.0.1])\r\n\tby localhost (relay.example [127.0.0.1]) (amavisd-new, port 10024)\r\n\twith ESMTP id abcDEF; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Postfix, re-injected by amavis", client: "127.0.0.1", helo: "localhost", with: "ESMTP", value: "from localhost (localhost [127.0.0.1])\r\n\tby relay.example (Postfix) with ESMTP id 4Wx\r\n\tfor <a@example.org>; Mon, 23 Nov 2026 10:00:00 +0000"},

	{name: "Sendmail", client: "198.51.100.7", helo: "mail.example", with: "ESMTPS", value: "from mail.example (mail.example [198.51.100.7])\r\n\tby relay.example (8.17.1/8.17.1) with ESMTPS id 3ANA0x12345\r\n\t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=NO)\r\n\tfor <a@example.org>; Mon, 23 Nov 2026 10:00:00 GMT"},
	{name: "Sendmail, may be forged", client: "198.51.100.7", helo: "mail.example", with: "ESMTP", value: "from mail.example (host.example [198.51.100.7] (may be forged))\r\n\tby relay.example (8.17.1/8.17.1) with ESMTP id 3AN; date"},
	{name: "Sendmail, no reverse DNS", client: "198.51.100.7", helo: "mail.example", with: "ESMTP", value: "from mail.example ([198.51.100.7])\r\n\tby relay.example (8.17.1/8.17.1) with ESMTP id 3AN; date"},
	{name: "Sendmail, no reverse DNS, HELO is a literal", client: "198.51.100.7", helo: "[192.168.1.5]", with: "ESMTP", value: "from [192.168.1.5] ([198.51.100.7])\r\n\tby relay.example (8.17.1/8.17.1) with ESMTP id 3AN; date"},
	{name: "Sendmail, ident", client: "198.51.100.7", helo: "mail.example", with: "ESMTP", value: "from mail.example (IDENT:joe@host.example [198.51.100.7])\r\n\tby relay.example (8.11.6/8.11.6) with ESMTP id 3AN; date"},
	{name: "Sendmail, ident without reverse DNS", client: "198.51.100.7", helo: "mail.example", with: "ESMTP", value: "from mail.example (joe@[198.51.100.7])\r\n\tby relay.example (8.11.6/8.11.6) with ESMTP id 3AN; date"},
	{name: "Sendmail, login", client: "2001:db8::7", helo: "mail.example", with: "ESMTPSA", value: "from mail.example ([IPv6:2001:db8:0:0:0:0:0:7])\r\n\t(authenticated bits=0)\r\n\tby relay.example (8.17.1/8.17.1) with ESMTPSA id 3AN; date"},
	{name: "Sendmail, submitted on the host", noFrom: true, value: "(from root@localhost)\r\n\tby relay.example (8.17.1/8.17.1/Submit) id 3AN; date"},
	{name: "Proofpoint", client: "127.0.0.1", helo: "pps.filterd", with: "ESMTP", value: "from pps.filterd (m0098404.ppops.net [127.0.0.1])\r\n\tby mx0a.example (8.17.1.19/8.17.1.19) with ESMTP id 3AN; date"},

	{name: "Exim", client: "198.51.100.7", helo: "mail.example", with: "ESMTPS", value: "from mail.example ([198.51.100.7])\r\n\tby relay.example with esmtps  (TLS1.3) tls TLS_AES_256_GCM_SHA384\r\n\t(Exim 4.96)\r\n\t(envelope-from <x@mail.example>)\r\n\tid 1rABCD-0001Xy-2Z\r\n\tfor a@example.org;\r\n\tMon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Exim, other HELO", client: "198.51.100.7", helo: "helo.example", with: "ESMTP", value: "from host.example ([198.51.100.7] helo=helo.example)\r\n\tby relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, port, HELO and ident", client: "198.51.100.7", helo: "helo.example", with: "ESMTP", value: "from host.example ([198.51.100.7]:41230 helo=helo.example ident=joe)\r\n\tby relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, no reverse DNS", client: "198.51.100.7", helo: "helo.example", with: "ESMTP", value: "from [198.51.100.7] (helo=helo.example)\r\n\tby relay.example with esmtp (Exim 4.96)\r\n\t(envelope-from <x@mail.example>) id 1rA; date"},
	{name: "Exim, no reverse DNS, port and ident", client: "198.51.100.7", helo: "helo.example", with: "ESMTPSA", value: "from [198.51.100.7] (port=53452 helo=helo.example ident=joe)\r\n\tby relay.example with esmtpsa  (TLS1.2) tls TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\r\n\t(Exim 4.96.2) id 1rA; date"},
	{name: "Exim, no reverse DNS, port alone", client: "198.51.100.7", helo: "[198.51.100.7]", with: "ESMTP", value: "from [198.51.100.7] (port=53452)\r\n\tby relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, no reverse DNS, HELO is the address", client: "198.51.100.7", helo: "[198.51.100.7]", with: "ESMTP", value: "from [198.51.100.7]\r\n\tby relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, no reverse DNS, IPv6", client: "2001:db8::7", helo: "helo.example", with: "UTF8ESMTPS", value: "from [2001:db8::7] (helo=helo.example)\r\n\tby relay.example with utf8esmtps (TLS1.3) tls X (Exim 4.96) id 1rA; date"},
	{name: "Exim, local", noFrom: true, with: "LOCAL", value: "from www-data by relay.example with local (Exim 4.96)\r\n\t(envelope-from <x@mail.example>) id 1rA; date"},
	{name: "Exim, re-injected by a scanner", noFrom: true, with: "SPAM-SCANNED", value: "from mail by relay.example with spam-scanned (Exim 4.96)\r\n\tid 1rA; date"},
	{name: "Exim, local with HELO", noFrom: true, with: "LOCAL-ESMTP", value: "from joe (helo=localhost) by relay.example with local-esmtp (Exim 4.96) id 1rA; date"},

	{name: "qmail", client: "198.51.100.7", helo: "helo.example", with: "SMTP", value: "from unknown (HELO helo.example) (198.51.100.7)\r\n  by 0 with SMTP; 23 Nov 2026 10:00:00 -0000"},
	{name: "qmail, HELO is the name", client: "198.51.100.7", helo: "host.example", with: "ESMTP", value: "from host.example (198.51.100.7)\r\n  by relay.example with ESMTP; 23 Nov 2026 10:00:00 -0000"},
	{name: "qmail, ident", client: "198.51.100.7", helo: "helo.example", with: "SMTP", value: "from host.example (HELO helo.example) (joe@198.51.100.7)\r\n  by relay.example with SMTP; date"},
	{name: "qmail, login", client: "198.51.100.7", helo: "helo.example", with: "ESMTPA", value: "from unknown (HELO helo.example) (ann@example.org@198.51.100.7)\r\n  by relay.example with ESMTPA; date"},
	{name: "qmail, TLS", client: "198.51.100.7", helo: "helo.example", with: "ESMTPS", value: "from unknown (HELO helo.example) (198.51.100.7)\r\n  by relay.example with (ECDHE-RSA-AES256-GCM-SHA384 encrypted) ESMTPS; date"},
	{name: "qmail, IPv6", client: "2001:db8::7", helo: "helo.example", with: "SMTP", value: "from unknown (HELO helo.example) (2001:db8::7)\r\n  by relay.example with SMTP; date"},
	{name: "qmail, network", noFrom: true, value: "(qmail 12345 invoked from network); 23 Nov 2026 10:00:00 -0000"},
	{name: "qmail, user", noFrom: true, value: "(qmail 12345 invoked by uid 89); 23 Nov 2026 10:00:00 -0000"},
	{name: "qpsmtpd", client: "198.51.100.7", helo: "helo.example", with: "ESMTP", value: "from host.example (HELO helo.example) (198.51.100.7)\r\n    by relay.example (qpsmtpd/0.96) with ESMTP; date"},
	{name: "mailfront", client: "198.51.100.7", helo: "helo.example", with: "ESMTP", value: "from host.example (HELO helo.example) ([198.51.100.7])\r\n  by relay.example ([192.0.2.1]) with ESMTP via TCP; date"},

	{name: "Exchange", client: "198.51.100.7", helo: "mail.example", with: "MICROSOFT", value: "from mail.example (198.51.100.7) by EX01.corp.example (192.0.2.20) with\r\n Microsoft SMTP Server (version=TLS1_2,\r\n cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.1.2507.6 via Frontend\r\n Transport; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Exchange 2010", client: "198.51.100.7", helo: "mail.example", with: "MICROSOFT", value: "from mail.example (198.51.100.7) by EX01.corp.example (192.0.2.20) with\r\n Microsoft SMTP Server (TLS) id 14.3.123.3; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Exchange, HELO is a literal", client: "198.51.100.7", helo: "[192.168.1.5]", with: "MICROSOFT", value: "from [192.168.1.5] (198.51.100.7) by EX01.corp.example (192.0.2.20) with\r\n Microsoft SMTP Server id 15.1.2507.6; date"},
	{name: "Exchange, zone", client: "fe80::1", helo: "EX02.corp.example", with: "MICROSOFT", value: "from EX02.corp.example (fe80::1%12) by EX01.corp.example (fe80::2%12) with\r\n Microsoft SMTP Server id 15.1.2507.6; date"},
	{name: "Exchange, MAPI", client: "192.0.2.21", helo: "EX02.corp.example", with: "MAPI", value: "from EX02.corp.example ([192.0.2.21]) by EX01.corp.example\r\n ([fe80::2%12]) with mapi id 15.01.2507.006; date"},
	{name: "Exchange 2003", client: "198.51.100.7", helo: "mail.example", with: "MICROSOFT", value: "from mail.example ([198.51.100.7]) by ex.corp.example with Microsoft SMTPSVC(6.0.3790.4675);\r\n\t Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Microsoft 365, in", client: "198.51.100.7", helo: "mail.example", with: "MICROSOFT", value: "from mail.example (198.51.100.7) by\r\n AM5EUR03FT012.mail.protection.outlook.com (10.152.16.90) with Microsoft SMTP\r\n Server (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id 15.20.8182.11 via\r\n Frontend Transport; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Microsoft 365, within", client: "2603:10a6:208:1::5", helo: "AM0PR01MB1234.eurprd01.prod.exchangelabs.com", with: "MICROSOFT", value: "from AM0PR01MB1234.eurprd01.prod.exchangelabs.com\r\n (2603:10a6:208:1::5) by AM0PR01MB4321.eurprd01.prod.exchangelabs.com\r\n (2603:10a6:208:2::6) with Microsoft SMTP Server (version=TLS1_2,\r\n cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.8182.11; date"},

	{name: "Zimbra, LMTP", client: "198.51.100.7", helo: "zm.example", with: "LMTP", value: "from zm.example (LHLO zm.example) (198.51.100.7)\r\n by zm.example with LMTP; Mon, 23 Nov 2026 10:00:00 +0000 (UTC)"},
	{name: "Zimbra, MTA", client: "198.51.100.7", helo: "mail.example", with: "ESMTPS", value: "from mail.example (mail.example [198.51.100.7])\r\n\tby zm.example (Postfix) with ESMTPS id 1A2B3C4D\r\n\tfor <a@example.org>; Mon, 23 Nov 2026 10:00:00 +0000 (UTC)"},
	{name: "Zimbra, own amavis", client: "127.0.0.1", helo: "zm.example", with: "ESMTP", value: "from zm.example ([127.0.0.1])\r\n by localhost (zm.example [127.0.0.1]) (amavis, port 10032) with ESMTP\r\n id q1w2e3r4; date"},

	{name: "Google, in", client: "198.51.100.7", helo: "mail.example", with: "ESMTPS", value: "from mail.example (mail.example. [198.51.100.7])\r\n        by mx.google.com with ESMTPS id d2e1a72fcca58-7abc.12.2026.11.23.02.00.00\r\n        for <a@example.org>\r\n        (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256);\r\n        Mon, 23 Nov 2026 02:00:00 -0800 (PST)"},
	{name: "Google, no reverse DNS", client: "2001:db8::7", helo: "mail.example", with: "ESMTPS", value: "from mail.example ([2001:db8::7])\r\n        by mx.google.com with ESMTPS id d2e; date"},
	{name: "Google, login", client: "198.51.100.7", helo: "[192.168.1.5]", with: "ESMTPSA", value: "from [192.168.1.5] (host.example. [198.51.100.7])\r\n        by smtp.gmail.com with ESMTPSA id d2e; date"},
	{name: "Google, within", noFrom: true, value: "by 2002:a05:6a00:b51:b0:6e7 with SMTP id p17csp1234567pfo;\r\n        Mon, 23 Nov 2026 02:00:00 -0800 (PST)"},

	{name: "Haraka", client: "198.51.100.7", helo: "helo.example", with: "ESMTPS", value: "from helo.example (host.example [198.51.100.7])\r\n\tby relay.example (Haraka/3.0.2) with ESMTPS id 7A2B.1\r\n\tenvelope-from <x@mail.example>\r\n\ttls TLS_AES_256_GCM_SHA384;\r\n\tMon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Haraka, no reverse DNS", client: "198.51.100.7", helo: "helo.example", with: "ESMTPSA", value: "from helo.example ([198.51.100.7])\r\n\tby relay.example (Haraka/3.0.2) with ESMTPSA id 7A2B.1\r\n\tenvelope-from <x@mail.example>\r\n\t(authenticated bits=0);\r\n\tdate"},
	{name: "Haraka, unknown", client: "198.51.100.7", helo: "helo.example", with: "SMTP", value: "from helo.example (Unknown [198.51.100.7])\r\n\tby relay.example (Haraka/2.8.18) with SMTP id 7A2B.1; date"},
	{name: "Mimecast", client: "198.51.100.7", helo: "mail.example", with: "ESMTP", value: "from mail.example (host.example [198.51.100.7]) by relay.mimecast.com with ESMTP with\r\n STARTTLS (version=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384) id\r\n uk-mta-123-abcDEF-1; Mon, 23 Nov 2026 10:00:00 +0000"},
	{name: "Mimecast, older", client: "198.51.100.7", helo: "mail.example", with: "ESMTP", value: "from mail.example (host.example [198.51.100.7])\r\n (Using TLS) by relay.mimecast.com with ESMTP id uk-mta-12; date"},
	{name: "IronPort", client: "198.51.100.7", helo: "helo.example", with: "ESMTP", value: "from host.example (HELO helo.example) ([198.51.100.7])\r\n  by esa1.example with ESMTP/TLS/ECDHE-RSA-AES256-GCM-SHA384; 23 Nov 2026 10:00:00 +0000"},
	{name: "IronPort, no reverse DNS", client: "198.51.100.7", helo: "helo.example", with: "ESMTP", value: "from unknown (HELO helo.example) ([198.51.100.7])\r\n  by esa1.example with ESMTP; date"},
	{name: "IronPort, HELO is the name", client: "198.51.100.7", helo: "host.example", with: "ESMTP", value: "from host.example ([198.51.100.7])\r\n  by esa1.example with ESMTP; date"},
	{name: "SES, in", client: "198.51.100.7", helo: "mail.example", with: "SMTP", value: "from mail.example (host.example [198.51.100.7])\r\n by inbound-smtp.eu-west-1.amazonaws.com with SMTP id 0abc1def\r\n for a@example.org;\r\n Mon, 23 Nov 2026 10:00:00 +0000 (UTC)"},
	{name: "SES, out", client: "198.51.100.7", helo: "[10.0.0.5]", with: "SMTP", value: "from [10.0.0.5] (ec2-198-51-100-7.compute.amazonaws.com [198.51.100.7])\r\n by email-smtp.amazonaws.com with SMTP (SimpleEmailService-d-ABC) id q1w2; date"},

	{name: "OpenSMTPD", client: "198.51.100.7", helo: "mail.example", with: "ESMTPS", value: "from mail.example (<unknown> [198.51.100.7])\r\n\tby relay.example (OpenSMTPD) with ESMTPS id 1a2b3c4d (TLSv1.3:TLS_AES_256_GCM_SHA384:256:NO)\r\n\tfor <a@example.org>; date"},
	{name: "OpenSMTPD, local", noFrom: true, with: "ESMTPA", value: "from localhost (relay.example [local])\r\n\tby relay.example (OpenSMTPD) with ESMTPA id 1a2b\r\n\tfor <a@example.org>; date"},
	{name: "Courier", client: "198.51.100.7", helo: "mail.example", with: "ESMTPS", value: "from mail.example (mail.example [::ffff:198.51.100.7])\r\n  (TLS: TLSv1.3,256bits,TLS_AES_256_GCM_SHA384)\r\n  by relay.example with ESMTPS; date"},
	{name: "James", client: "198.51.100.7", helo: "mail.example", with: "ESMTP", value: "from 198.51.100.7 (EHLO mail.example) ([198.51.100.7])\r\n          by relay.example (JAMES SMTP Server ) with ESMTP ID 1234; date"},
	{name: "mox", client: "198.51.100.7", helo: "mail.example", with: "ESMTPS", value: "from mail.example (host.example. [198.51.100.7])\r\n\tby relay.example ([192.0.2.1]) via tcp with ESMTPS id abc (TLS1.3 TLS_AES_128_GCM_SHA256)\r\n\tfor <a@example.org>; date"},
	{name: "chasquid", client: "198.51.100.7", helo: "[198.51.100.7]", with: "ESMTPS", value: "from [198.51.100.7] (mail.example)\r\n\tby relay.example (chasquid) with ESMTPS\r\n\ttls TLS_AES_128_GCM_SHA256\r\n\t(over SMTP, TLS-1.3, envelope from \"x@mail.example\")\r\n\t; date"},
	{name: "CommuniGate Pro", client: "198.51.100.7", helo: "mail.example", with: "ESMTP", value: "from [198.51.100.7] (HELO mail.example)\r\n  by relay.example (CommuniGate Pro SMTP 6.2.5)\r\n  with ESMTP id 12345; date"},
	{name: "SpamAssassin", noFrom: true, with: "SPAMASSASSIN", value: "from localhost by relay.example\r\n\twith SpamAssassin (version 4.0.0);\r\n\tdate"},
	{name: "upper case", client: "198.51.100.7", helo: "mail.example", with: "SMTP", value: "FROM mail.example (mail.example [198.51.100.7]) BY relay.example WITH smtp; date"},
	{name: "folds with bare LF", client: "198.51.100.7", helo: "mail.example", with: "SMTP", value: " from mail.example\n\t(mail.example [198.51.100.7])\n\tby relay.example with SMTP;\n\tdate"},
	{name: "login, UTF-8", client: "198.51.100.7", helo: "x", with: "UTF8SMTPSA", value: "from x (y [198.51.100.7]) by relay.example (Postfix) with UTF8SMTPSA id 4Wx; date"},
}

// Fields in which the client tries to have its own text taken for what the server saw.
// Its text is 192.0.2.10 wherever an address is in it; the server saw 203.0.113.9.
var receivedAttacks = []receivedCase{
	{name: "Exim, HELO is a literal", client: "203.0.113.9", helo: "[192.0.2.10]", with: "ESMTP", value: "from [203.0.113.9] (helo=[192.0.2.10])\r\n\tby relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, named, HELO is a literal", client: "203.0.113.9", helo: "[192.0.2.10]", with: "ESMTP", value: "from host.example ([203.0.113.9] helo=[192.0.2.10])\r\n\tby relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, ident is an address", client: "203.0.113.9", helo: "x", with: "ESMTP", value: "from [203.0.113.9] (helo=x ident=[192.0.2.10]) by relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, ident closes the comment", with: "ESMTP", value: "from [203.0.113.9] (helo=x ident=y) (z [192.0.2.10]) by relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, named, ident closes the comment", value: "from host.example ([203.0.113.9] helo=x ident=y) ([192.0.2.10]) by relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, HELO closes the comment", with: "ESMTP", value: "from [203.0.113.9] (helo=x) ([192.0.2.10]) by relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, ident has blanks", value: "from host.example ([203.0.113.9] ident=a [192.0.2.10]) by relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "Exim, HELO twice", value: "from host.example ([203.0.113.9] helo=a helo=b) by relay.example with esmtp (Exim 4.96) id 1rA; date"},
	{name: "qmail, HELO is a literal", client: "203.0.113.9", helo: "[192.0.2.10]", with: "SMTP", value: "from unknown (HELO [192.0.2.10]) (203.0.113.9)\r\n  by 0 with SMTP; date"},
	{name: "qmail, HELO is an address", client: "203.0.113.9", helo: "192.0.2.10", with: "SMTP", value: "from unknown (HELO 192.0.2.10) (203.0.113.9)\r\n  by 0 with SMTP; date"},
	{name: "qmail, ident is an address", client: "203.0.113.9", helo: "x", with: "SMTP", value: "from unknown (HELO x) (192.0.2.10@203.0.113.9)\r\n  by 0 with SMTP; date"},
	{name: "qmail, ident is an address with @", client: "203.0.113.9", helo: "x", with: "SMTP", value: "from unknown (HELO x) (a@192.0.2.10@203.0.113.9)\r\n  by 0 with SMTP; date"},
	{name: "qmail, HELO closes the comment", value: "from unknown (HELO x) (192.0.2.10) (203.0.113.9)\r\n  by 0 with SMTP; date"},
	{name: "qmail, HELO closes the comment and opens another", value: "from unknown (HELO x) (192.0.2.10) (y) (203.0.113.9)\r\n  by 0 with SMTP; date"},
	{name: "qmail, name is an address", with: "SMTP", value: "from 192.0.2.10 (HELO x) (203.0.113.9)\r\n  by 0 with SMTP; date"},
	{name: "IronPort, HELO is a literal", client: "203.0.113.9", helo: "[192.0.2.10]", with: "ESMTP", value: "from unknown (HELO [192.0.2.10]) ([203.0.113.9])\r\n  by esa1.example with ESMTP; date"},
	{name: "HELO alone", with: "ESMTP", value: "from [192.0.2.10] by relay.example with ESMTP id 1; date"},
	{name: "HELO alone, bare", with: "ESMTP", value: "from 192.0.2.10 by relay.example with ESMTP id 1; date"},
	{name: "HELO with TLS only", with: "ESMTP", value: "from [192.0.2.10] (using TLSv1.3 with cipher X (256/256 bits)) by relay.example with ESMTP id 1; date"},
	{name: "Postfix, HELO is a literal", client: "203.0.113.9", helo: "[192.0.2.10]", with: "ESMTP", value: "from [192.0.2.10] (unknown [203.0.113.9]) by relay.example (Postfix) with ESMTP id 4Wx; date"},
	{name: "Postfix, HELO looks like a comment", client: "203.0.113.9", helo: "([192.0.2.10])", with: "ESMTP", value: "from ([192.0.2.10]) (unknown [203.0.113.9]) by relay.example (Postfix) with ESMTP id 4Wx; date"},
	{name: "HELO opens a comment that the envelope closes", value: "from x (HELO y() (203.0.113.9) by relay.example with SMTP envelope-from <\"a)) ([192.0.2.10]) by b with ESMTPA\"@evil.example>; date"},
	{name: "HELO opens a comment that never ends", value: "from x (HELO y() ([203.0.113.9]) by relay.example with SMTP; date"},
	{name: "HELO ends in a bracket", client: "203.0.113.9", helo: "x(", with: "SMTP", value: "from x( (host.example [203.0.113.9]) by relay.example with SMTP envelope-from <\"a) (y [192.0.2.10]) b\"@evil.example>; date"},
	{name: "HELO is a quote", client: "203.0.113.9", helo: "\"", with: "SMTP", value: "from \" (host.example [203.0.113.9]) by relay.example with SMTP envelope-from <\"(y [192.0.2.10])\"@evil.example>; date"},
	{name: "HELO ends in a backslash", value: "from x (HELO y\\) (203.0.113.9) by relay.example with SMTP; date"},
	{name: "HELO has blanks", value: "from x (y [192.0.2.10]) by z with ESMTPA (host.example [203.0.113.9]) by relay.example with SMTP; date"},
	{name: "HELO has blanks, words only", value: "from x y [192.0.2.10] (host.example [203.0.113.9]) by relay.example with SMTP; date"},
	{name: "HELO swallows the rest", value: "from x (y [192.0.2.10]) (z (host.example [203.0.113.9]) by relay.example with SMTP) by w with ESMTPA; date"},
	{name: "remark with an address", value: "from x (y [203.0.113.9]) (z [192.0.2.10]) by relay.example with SMTP; date"},
	{name: "two addresses in a comment", value: "from x ([192.0.2.10] [203.0.113.9]) by relay.example with SMTP; date"},
	{name: "name is a literal", value: "from x ([192.0.2.10] [203.0.113.9] (may be forged)) by relay.example with SMTP; date"},
	{name: "Sendmail, ident is a literal", client: "203.0.113.9", helo: "x", with: "ESMTP", value: "from x (IDENT:[192.0.2.10]@host.example [203.0.113.9]) by relay.example (8.11.6/8.11.6) with ESMTP id 3AN; date"},
	{name: "Sendmail, ident has blanks", value: "from x (IDENT:a [192.0.2.10] b@host.example [203.0.113.9]) by relay.example (8.11.6/8.11.6) with ESMTP id 3AN; date"},
	{name: "address in a comment within the comment", client: "203.0.113.9", helo: "x", with: "SMTP", value: "from x (host.example [203.0.113.9] ([192.0.2.10])) by relay.example with SMTP; date"},
	{name: "two bare addresses", with: "ESMTP", value: "from [203.0.113.9] (192.0.2.10) by relay.example with ESMTP id 1; date"},
	{name: "chasquid, HELO is an address", client: "203.0.113.9", helo: "[203.0.113.9]", with: "ESMTP", value: "from [203.0.113.9] (192.0.2.10)\r\n\tby relay.example (chasquid) with ESMTP; date"},
	{name: "chasquid, HELO is a literal", client: "203.0.113.9", helo: "[203.0.113.9]", with: "ESMTP", value: "from [203.0.113.9] ([192.0.2.10])\r\n\tby relay.example (chasquid) with ESMTP; date"},
	{name: "address in the by clause", with: "SMTP", value: "from x (host.example) by relay.example ([192.0.2.10]) with SMTP; date"},
	{name: "Exim named in the envelope", with: "SMTP", value: "from [192.0.2.10] by relay.example with SMTP for <\"(Exim 4.96)\"@evil.example>; date"},
	{name: "login in the envelope", client: "203.0.113.9", helo: "x", with: "SMTP", value: "from x (y [203.0.113.9]) by relay.example with SMTP for <\" with ESMTPA \"@evil.example>; date"},
	{name: "login in HELO", client: "203.0.113.9", helo: "ESMTPA", with: "SMTP", value: "from ESMTPA (with [203.0.113.9]) by relay.example with SMTP; date"},
	{name: "localhost in HELO", with: "SMTP", value: "from localhost by relay.example with SMTP; date"},
	{name: "loopback in HELO", client: "203.0.113.9", helo: "[127.0.0.1]", with: "SMTP", value: "from [127.0.0.1] (localhost [203.0.113.9]) by relay.example with SMTP; date"},
	{name: "local in HELO", with: "SMTP", value: "from [local] by relay.example with SMTP; date"},
	{name: "NUL", value: "from x (y [203.0.113.9]\x00) by relay.example with SMTP; date"},
	{name: "no by", value: "from x (y [203.0.113.9]); date"},
	{name: "HELO is by", client: "203.0.113.9", helo: "by", with: "SMTP", value: "from by (y [203.0.113.9]) by relay.example with SMTP; date"},
	{name: "HELO is a semicolon", client: "203.0.113.9", helo: ";", with: "SMTP", value: "from ; (y [203.0.113.9]) by relay.example with SMTP; date"},
	{name: "comment first", value: "from (y [203.0.113.9]) by relay.example with SMTP; date"},
	{name: "unspecified", with: "SMTP", value: "from x (y [0.0.0.0]) by relay.example with SMTP; date"},
	{name: "octets with leading zeros", with: "SMTP", value: "from x (y [203.0.113.009]) by relay.example with SMTP; date"},
	{name: "too long", value: "from x (y [203.0.113.9]) by relay.example with SMTP id " + strings.Repeat("a", maxReceivedLen) + "; date"},
	{name: "nothing", noFrom: true, value: ""},
	{name: "from alone", value: "from"},
	{name: "from what", noFrom: true, value: "fromage (h [203.0.113.9]) by relay.example with SMTP"},
}

func TestParseReceived(t *testing.T) {
	for _, c := range receivedForms {
		t.Run(c.name, func(t *testing.T) { checkReceived(t, c) })
	}
}

func TestParseReceivedAttacks(t *testing.T) {
	for _, c := range receivedAttacks {
		t.Run(c.name, func(t *testing.T) { checkReceived(t, c) })
	}
}

func checkReceived(t *testing.T, c receivedCase) {
	t.Helper()
	want := Received{From: !c.noFrom, With: c.with}
	if c.client != "" {
		want.Client, want.Helo = netip.MustParseAddr(c.client), c.helo
	}
	if got := ParseReceived([]byte(c.value)); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReceivedLogin(t *testing.T) {
	for with, want := range map[string]bool{
		"ESMTPA": true, "ESMTPSA": true, "UTF8SMTPA": true, "UTF8SMTPSA": true, "UTF8ESMTPA": true, "UTF8ESMTPSA": true,
		"": false, "SMTP": false, "SMTPA": false, "ESMTP": false, "ESMTPS": false, "UTF8SMTP": false, "UTF8SMTPS": false,
		"UTF8": false, "LMTPA": false, "ESMTPAS": false, "UTF8UTF8SMTPA": false,
	} {
		if got := (Received{With: with}).Login(); got != want {
			t.Errorf("with %q: login %v, want %v", with, got, want)
		}
	}
}

// FuzzReceived puts the client's text where servers put it. Whatever it is, the address
// read is the one that the server saw, or none.
func FuzzReceived(f *testing.F) {
	for _, s := range []string{"[192.0.2.10]", "x) (192.0.2.10", "x (y [192.0.2.10]) by z with ESMTPA", "(", ")", "\\", "\"", "a b", "x) ([192.0.2.10]) (y", ";"} {
		f.Add(s, s)
	}
	for _, c := range receivedForms {
		f.Add(c.value, "")
	}
	seen := netip.MustParseAddr("203.0.113.9")
	f.Fuzz(func(t *testing.T, client, envelope string) {
		if got := ParseReceived([]byte(client)); !got.From && got.Client.IsValid() || !got.Client.IsValid() && got.Helo != "" {
			t.Errorf("%q: %+v", client, got)
		}
		if strings.ContainsAny(client, "\r\n") || strings.Contains(client+envelope, "203.0.113.9") {
			return
		}
		token := strings.Join(strings.Fields(client), "?") // servers take one word
		tail := " by relay.example with SMTP id 1 envelope-from <" + envelope + ">; date"
		for _, value := range []string{
			"from " + token + " (host.example [203.0.113.9])" + tail,
			"from " + token + " ([203.0.113.9])" + tail,
			"from " + token + " (203.0.113.9)" + tail,
			"from unknown (HELO " + client + ") (203.0.113.9)" + tail,
			"from unknown (HELO " + client + ") ([203.0.113.9])" + tail,
			"from unknown (HELO x) (" + token + "@203.0.113.9)" + tail,
			"from [203.0.113.9] (helo=" + token + " ident=" + client + ")" + tail,
			"from host.example ([203.0.113.9] helo=" + token + " ident=" + client + ")" + tail,
			"from x (" + token + "@host.example [203.0.113.9])" + tail,
		} {
			if token == "" {
				break
			}
			got := ParseReceived([]byte(value))
			if got.Client.IsValid() && got.Client != seen {
				t.Errorf("%q: client %s", value, got.Client)
			}
			if got.Login() || !got.From {
				t.Errorf("%q: %+v", value, got)
			}
		}
	})
}
