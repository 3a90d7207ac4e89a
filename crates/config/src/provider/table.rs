//! The table of providers: one row each.
//!
//! Words are those of lego, whose users bring them. Permissions are the providers' own names for
//! them; where a provider is known to have none that are narrower, the row says so.

use super::{Field, Holds, Need, Privacy, Provider};

const fn key(name: &'static str, meaning: &'static str) -> Field {
    Field { name, privacy: Privacy::Secret, need: Need::Must, meaning }
}

const fn key_if_any(name: &'static str, meaning: &'static str) -> Field {
    Field { name, privacy: Privacy::Secret, need: Need::May, meaning }
}

const fn text(name: &'static str, meaning: &'static str) -> Field {
    Field { name, privacy: Privacy::Plain, need: Need::Must, meaning }
}

const fn text_if_any(name: &'static str, meaning: &'static str) -> Field {
    Field { name, privacy: Privacy::Plain, need: Need::May, meaning }
}

const fn or_text(name: &'static str, meaning: &'static str) -> Field {
    Field { name, privacy: Privacy::Plain, need: Need::OneOf, meaning }
}

const fn row(
    word: &'static str,
    called: &'static str,
    least_ttl_secs: u32,
    fields: &'static [Field],
    least: &'static str,
) -> Provider {
    Provider { word, called, fields, least, least_ttl_secs, holds: Holds::Many }
}

/// A provider where a name has one value.
const fn row_of_one(
    word: &'static str,
    called: &'static str,
    fields: &'static [Field],
    least: &'static str,
) -> Provider {
    Provider { word, called, fields, least, least_ttl_secs: 60, holds: Holds::One }
}

/// Where nothing narrower than the account is known.
const ACCOUNT: &str = "No narrower one than the account's is known: it reaches all its zones.";

/// Every provider, sorted by its word.
#[rustfmt::skip]
pub(super) const ALL: &[Provider] = &[
    row("alidns", "Alibaba Cloud DNS", 600, &[
        text("access_key", "the access key's identifier"),
        key("secret_key", "the access key's secret"),
        text_if_any("region", "the region of the API"),
        key_if_any("security_token", "the token of temporary credentials"),
        text_if_any("line", "the resolution line, `default` unless given"),
    ], "A RAM user that may alidns:DescribeDomains, DescribeDomainRecords, AddDomainRecord, \
        UpdateDomainRecord and DeleteDomainRecord, on its domains alone."),
    row("arvancloud", "ArvanCloud", 120, &[
        key("api_key", "a machine user's key, with the word `Apikey` before it"),
    ], "A machine user with the policy that edits DNS, for its domains alone."),
    row("autodns", "InterNetX AutoDNS", 60, &[
        text("username", "the user"),
        key("password", "the password"),
        text_if_any("context", "the context's number, 4 unless given"),
    ], "A user of its own with the rights to read and change zones."),
    row("azuredns", "Azure DNS", 60, &[
        text("tenant_id", "the directory (tenant)"),
        text("client_id", "the application (client)"),
        key("client_secret", "a secret of the application"),
        text("subscription_id", "the subscription that holds the zone"),
        text("resource_group", "the resource group that holds the zone"),
        text_if_any("environment", "`public`, `china` or `usgovernment`"),
    ], "A service principal with a custom role of Microsoft.Network/dnsZones/read and \
        dnsZones/TXT/*, on the zone; the built-in role DNS Zone Contributor is wider."),
    row("baiducloud", "Baidu Cloud DNS", 60, &[
        text("access_key", "the access key's identifier"),
        key("secret_key", "the access key's secret"),
    ], "An IAM user with the policy that operates DNS."),
    row("bluecatv2", "BlueCat Address Manager v2", 60, &[
        text("server_url", "where it is: `https://bam.example.org`"),
        text("username", "the API user"),
        key("password", "its password"),
        text("config_name", "the configuration"),
        text("view_name", "the view"),
        text_if_any("skip_deploy", "`true`: changes are not deployed at once"),
    ], "An API user that may change resource records in the zone, and deploy them."),
    row("bunny", "bunny.net DNS", 15, &[
        key("api_key", "the account's API key"),
    ], ACCOUNT),
    row("cloudflare", "Cloudflare", 60, &[
        key("api_token", "an API token; not the global key"),
    ], "A token with Zone / Zone / Read and Zone / DNS / Edit, for its zones alone."),
    row("cloudns", "ClouDNS", 60, &[
        or_text("auth_id", "the API user's number"),
        or_text("sub_auth_id", "the API sub-user's number"),
        key("auth_password", "its password"),
    ], "An API sub-user to whom its zones alone are delegated."),
    row("constellix", "Constellix", 60, &[
        text("api_key", "the key"),
        key("secret_key", "its secret"),
    ], ACCOUNT),
    row("cpanel", "cPanel", 60, &[
        text("base_url", "where it is: `https://cpanel.example.org:2083`"),
        text("username", "the account"),
        key("token", "an API token"),
    ], "A token of an account that has the feature Zone Editor."),
    row_of_one("ddnss", "DDNSS.de", &[
        key("key", "the update key"),
    ], "The update key of the host."),
    row("desec", "deSEC", 3600, &[
        key("token", "an API token"),
    ], "A token with a policy for its domain, the subname and TXT that says perm_write, and the \
        default policy without it."),
    row("digitalocean", "DigitalOcean", 30, &[
        key("auth_token", "a personal access token"),
    ], "A token with the custom scopes domain:read, domain:create, domain:update and \
        domain:delete."),
    row("dnsimple", "DNSimple", 60, &[
        key("access_token", "an account's access token"),
        text("account_id", "the account's number"),
    ], "An account token, limited to its zones with a role where the plan has domain access \
        control."),
    row("dnsmadeeasy", "DNS Made Easy", 60, &[
        text("api_key", "the key"),
        key("api_secret", "its secret"),
    ], ACCOUNT),
    row("domeneshop", "Domeneshop", 60, &[
        text("api_token", "the token"),
        key("api_secret", "its secret"),
    ], ACCOUNT),
    row("dreamhost", "DreamHost", 60, &[
        key("api_key", "an API key"),
    ], "A key with the functions dns-list_records, dns-add_record and dns-remove_record."),
    row_of_one("duckdns", "Duck DNS", &[
        key("token", "the account's token"),
    ], ACCOUNT),
    row("dynu", "Dynu", 60, &[
        key("api_key", "the API key"),
    ], ACCOUNT),
    row("easydns", "easyDNS", 60, &[
        text("token", "the API token"),
        key("key", "its key"),
    ], ACCOUNT),
    row("edgedns", "Akamai Edge DNS", 60, &[
        text("host", "the host of the API client, `akab-....luna.akamaiapis.net`"),
        key("client_token", "the client token"),
        key("client_secret", "the client secret"),
        key("access_token", "the access token"),
        text_if_any("account_switch_key", "the account acted for"),
    ], "An API client whose access to DNS Zone Record Management is READ-WRITE, in the group that \
        holds its zones."),
    row("exoscale", "Exoscale", 60, &[
        text("api_key", "the key"),
        key("api_secret", "its secret"),
    ], "An IAM role whose policy allows the service `dns` alone."),
    row_of_one("freemyip", "freemyip.com", &[
        key("token", "the domain's token"),
    ], "The token of the domain."),
    row("gandiv5", "Gandi LiveDNS", 300, &[
        key("personal_access_token", "a personal access token"),
    ], "A token for its domains alone, with the permissions to see and manage their technical \
        configuration."),
    row("gcloud", "Google Cloud DNS", 60, &[
        key("service_account", "the service account's key, the JSON as a whole"),
        text("project", "the project"),
        text_if_any("managed_zone", "the managed zone, found by its name unless given"),
        text_if_any("private_zone", "`true`: private zones alone"),
        text_if_any("impersonate_service_account", "the service account acted for"),
    ], "A service account with a custom role of dns.managedZones.list, \
        dns.resourceRecordSets.list, create, update and delete, and dns.changes.create, on the \
        zone; the predefined role DNS Administrator is wider."),
    row("gcore", "Gcore", 120, &[
        key("api_token", "a permanent API token"),
    ], "A token of a role that may change DNS."),
    row("glesys", "GleSYS", 60, &[
        text("api_user", "the project (CL...)"),
        key("api_key", "the API key"),
    ], "A key that may domain:listrecords, addrecord, updaterecord and deleterecord."),
    row("godaddy", "GoDaddy", 600, &[
        key("api_key", "the production key"),
        key("api_secret", "its secret"),
    ], ACCOUNT),
    row("hetzner", "Hetzner DNS", 60, &[
        key("api_token", "a token of the Cloud API"),
    ], "A token with Read & Write, in a project that holds its zones alone."),
    row("hostingde", "hosting.de", 60, &[
        key("api_key", "the API key"),
    ], "A key with the right DNS_ZONES_EDIT."),
    row("hostinger", "Hostinger", 60, &[
        key("api_token", "the API token"),
    ], ACCOUNT),
    row("huaweicloud", "Huawei Cloud DNS", 60, &[
        text("access_key", "the access key's identifier"),
        key("secret_key", "the access key's secret"),
        text("region", "the region: `eu-west-101`"),
    ], "An IAM user that may dns:zone:list and dns:recordset:list, create, update and delete."),
    row_of_one("hurricane", "Hurricane Electric", &[
        text("zone", "the zone"),
        key("key", "the dynamic DNS key of its TXT record"),
    ], "The dynamic DNS key of the record `_acme-challenge`, which must be there already: it \
        changes nothing else."),
    row("ibmcloud", "IBM Cloud (SoftLayer)", 60, &[
        text("username", "the user"),
        key("api_key", "its API key of the classic infrastructure"),
    ], "A user whose only permission is to manage DNS."),
    row("infoblox", "Infoblox NIOS", 60, &[
        text("host", "the grid master"),
        text("username", "the user"),
        key("password", "its password"),
        text_if_any("port", "the port, 443 unless given"),
        text_if_any("wapi_version", "the version of the WAPI"),
        text_if_any("dns_view", "the view, `External` unless given"),
    ], "A user of a group that may use the API alone, with read and write access to TXT records of \
        its zones."),
    row("infomaniak", "Infomaniak", 60, &[
        key("access_token", "the API token"),
    ], "A token with the scope `domain`."),
    row("inwx", "INWX", 300, &[
        text("username", "the user"),
        key("password", "its password; without a second factor"),
        text_if_any("sandbox", "`true`: their test system"),
    ], "A sub-account with the role DNS management."),
    row("ionos", "IONOS", 300, &[
        key("api_key", "the key, `prefix.secret`"),
    ], ACCOUNT),
    row("ipv64", "IPv64", 60, &[
        key("api_key", "the account's API key"),
    ], ACCOUNT),
    row("joker", "Joker", 300, &[
        key("api_key", "the API key"),
    ], "An API key whose access is limited to changing zones."),
    row("lightsail", "Amazon Lightsail", 60, &[
        text("access_key_id", "the access key's identifier"),
        key("secret_access_key", "the access key's secret"),
        key_if_any("session_token", "the token of temporary credentials"),
        text_if_any("region", "the region, `us-east-1` unless given"),
        text_if_any("domain", "the domain, found by its name unless given"),
    ], "An IAM user that may lightsail:GetDomain, GetDomains, CreateDomainEntry, \
        UpdateDomainEntry and DeleteDomainEntry."),
    row("linode", "Linode", 300, &[
        key("token", "a personal access token"),
    ], "A token whose scope Domains is Read/Write, of a user restricted to its domains."),
    row("luadns", "LuaDNS", 300, &[
        text("api_username", "the account's mail address"),
        key("api_token", "its token"),
    ], "A restricted token for its zones alone."),
    row("mythicbeasts", "Mythic Beasts", 60, &[
        text("username", "the API key's identifier"),
        key("password", "its secret"),
    ], "A key of the DNS API v2 that may change TXT records of its zones alone."),
    row("namecheap", "Namecheap", 60, &[
        text("api_user", "the API user"),
        key("api_key", "the API key"),
        text("client_ip", "the address that requests come from, which Namecheap must know"),
        text_if_any("username", "the user acted for, the API user unless given"),
    ], "No narrower one than the account's is known. Namecheap takes a zone as a whole only: let \
        nobody change it by hand while answers are up."),
    row("namedotcom", "Name.com", 300, &[
        text("username", "the user"),
        key("api_token", "the API token"),
    ], ACCOUNT),
    row("namesilo", "NameSilo", 3600, &[
        key("api_key", "the API key; not the read-only one"),
    ], ACCOUNT),
    row("netcup", "netcup", 60, &[
        text("customer_number", "the customer's number"),
        key("api_key", "the API key"),
        key("api_password", "the API password"),
    ], ACCOUNT),
    row("netlify", "Netlify", 60, &[
        key("access_token", "a personal access token"),
    ], ACCOUNT),
    row("nifcloud", "NIFCLOUD DNS", 60, &[
        text("access_key", "the access key"),
        key("secret_key", "its secret"),
    ], ACCOUNT),
    row("ns1", "NS1", 60, &[
        key("api_key", "the API key"),
    ], "A key that may view and manage zones, its own zones alone."),
    row("oraclecloud", "Oracle Cloud DNS", 60, &[
        text("tenancy_ocid", "the tenancy"),
        text("user_ocid", "the user"),
        text("fingerprint", "the fingerprint of the user's API key"),
        key("private_key", "that key in PEM"),
        key_if_any("private_key_password", "what the key is encrypted with"),
        text("region", "the region: `eu-frankfurt-1`"),
        text("compartment_ocid", "the compartment that holds the zone"),
    ], "A user whose group may `read dns-zones` and `use dns-records` in the compartment."),
    row("ovh", "OVHcloud", 60, &[
        text("application_key", "the application's key"),
        key("application_secret", "its secret"),
        key("consumer_key", "the consumer key"),
        text("endpoint", "`ovh-eu`, `ovh-us`, `ovh-ca`, `kimsufi-eu`, `kimsufi-ca`, \
              `soyoustart-eu` or `soyoustart-ca`"),
    ], "A consumer key with GET on /domain/zone/ and /domain/zone/ZONE/*, and PUT, POST and DELETE \
        on /domain/zone/ZONE/record/*, and POST on /domain/zone/ZONE/refresh."),
    row("pdns", "PowerDNS", 1, &[
        key("api_key", "the server's `api-key`"),
        text_if_any("endpoint", "where its API is, `http://localhost:8081` unless given"),
        text_if_any("server_name", "the server, `localhost` unless given"),
    ], "The server has one key, which reaches all its zones: let its API listen on an address that \
        nobody else reaches (`webserver-allow-from`), or put a proxy in front that passes PATCH of \
        one zone."),
    row("plesk", "Plesk", 60, &[
        text("base_url", "where it is: `https://plesk.example.org:8443`"),
        key("api_key", "a secret key"),
    ], "A secret key bound to the address that requests come from."),
    row("porkbun", "Porkbun", 600, &[
        key("api_key", "the key"),
        key("secret_api_key", "its secret"),
    ], "A key of the account; API access is opened for each domain, so open it for its own alone."),
    row("route53", "Amazon Route 53", 10, &[
        text("access_key_id", "the access key's identifier"),
        key("secret_access_key", "the access key's secret"),
        key_if_any("session_token", "the token of temporary credentials"),
        text_if_any("region", "the region, `us-east-1` unless given"),
        text_if_any("hosted_zone_id", "the hosted zone; give it where a private one has the same \
                     name"),
        text_if_any("endpoint", "where the API is, if not at Amazon"),
    ], "An IAM user that may route53:ListResourceRecordSets and \
        route53:ChangeResourceRecordSets on the hosted zone, the latter with the conditions \
        ChangeResourceRecordSetsNormalizedRecordNames = `_acme-challenge.*` and \
        ChangeResourceRecordSetsRecordTypes = `TXT`; and route53:ListHostedZonesByName where \
        `hosted_zone_id` is not given."),
    row("safedns", "ANS SafeDNS", 60, &[
        key("auth_token", "the API token"),
    ], "An application with read and write access to SafeDNS."),
    row("scaleway", "Scaleway", 60, &[
        key("api_token", "the secret key of an API key"),
    ], "An IAM application with DomainsDNSFullAccess, in a project of its own."),
    row("selectel", "Selectel", 60, &[
        text("username", "the service user"),
        key("password", "its password"),
        text("account_id", "the account's number"),
        text("project_id", "the project that holds the zone"),
    ], "A service user with the role `member` in that project."),
    row("simply", "Simply.com", 60, &[
        text("account_name", "the account"),
        key("api_key", "the API key"),
    ], ACCOUNT),
    row("spaceship", "Spaceship", 60, &[
        key("api_key", "the key"),
        key("api_secret", "its secret"),
    ], "A key with dnsrecords:read and dnsrecords:write."),
    row("tencentcloud", "Tencent Cloud DNSPod", 600, &[
        text("secret_id", "the key's identifier"),
        key("secret_key", "the key's secret"),
        text_if_any("region", "the region of the API"),
        key_if_any("session_token", "the token of temporary credentials"),
    ], "A CAM user that may dnspod:DescribeRecordList, CreateRecord, ModifyRecord and \
        DeleteRecord, on its domains alone."),
    row("transip", "TransIP", 60, &[
        text("login", "the user"),
        key("private_key", "the API's private key in PEM"),
        text_if_any("global_key", "`true`: requests come from addresses that are not listed"),
    ], "A key pair of the account, taken from listed addresses alone (`global_key` not set)."),
    row("ultradns", "UltraDNS", 60, &[
        text("username", "the user"),
        key("password", "its password"),
        text_if_any("endpoint", "where the API is, `https://api.ultradns.com` unless given"),
    ], "A user of a group that may read and write its zones alone."),
    row("vercel", "Vercel", 60, &[
        key("auth_token", "an access token"),
        text_if_any("team_id", "the team that holds the domain"),
    ], "A token whose scope is that team."),
    row("volcengine", "Volcano Engine", 600, &[
        text("access_key", "the access key's identifier"),
        key("secret_key", "the access key's secret"),
        text_if_any("region", "the region of the API"),
        text_if_any("host", "the host of the API"),
        text_if_any("scheme", "`https` or `http`"),
    ], "An IAM user with the policy that manages DNS."),
    row("vultr", "Vultr", 120, &[
        key("api_key", "the API key"),
    ], "A key of a user whose only permission is to manage DNS, taken from listed addresses \
        alone."),
    row("websupport", "Websupport", 600, &[
        text("api_key", "the key's identifier"),
        key("secret", "the key's secret"),
    ], ACCOUNT),
    row("yandexcloud", "Yandex Cloud DNS", 60, &[
        key("service_account", "the service account's key, its JSON in base64"),
        text("folder_id", "the folder that holds the zone"),
    ], "A service account with the role dns.editor on that folder."),
    row("zoneee", "Zone.ee", 300, &[
        text("username", "the user (ZoneID)"),
        key("api_key", "the API key"),
    ], ACCOUNT),
];
