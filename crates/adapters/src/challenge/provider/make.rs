//! Making a provider's client of its credentials.
//!
//! Each arm takes the fields of one row of the configuration's table, by their names there; what is
//! left over afterwards is a mistake, and so is what is missing. So the table and these arms are
//! held together by one test: a client can be made of exactly what a row says.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use dns_update::DnsUpdater;
use dns_update::providers::azuredns::{AzureDnsConfig, AzureEnvironment};
use dns_update::providers::bluecatv2::BluecatV2Config;
use dns_update::providers::edgedns::EdgeDnsConfig;
use dns_update::providers::google_cloud_dns::GoogleCloudDnsConfig;
use dns_update::providers::infoblox::InfobloxConfig;
use dns_update::providers::joker::JokerAuth;
use dns_update::providers::lightsail::LightsailConfig;
use dns_update::providers::oraclecloud::OracleCloudConfig;
use dns_update::providers::ovh::OvhEndpoint;
use dns_update::providers::route53::Route53Config;
use dns_update::providers::volcengine::VolcengineConfig;
use dns_update::providers::yandexcloud::YandexCloudConfig;
use zeroize::Zeroizing;

/// Credentials by their names, as the operator gave them.
pub type Credentials = BTreeMap<String, Zeroizing<String>>;

/// How long one request of the library may take.
const REQUEST_TIME: Duration = Duration::from_secs(20);

/// Makes the client, or says what is wrong with the credentials. No message holds one of them.
pub(super) fn make(word: &str, credentials: &Credentials) -> Result<DnsUpdater, String> {
    let mut taken = Taken { left: credentials.clone() };
    let made = by_word(word, &mut taken)?;
    let left: Vec<&str> = taken.left.keys().map(String::as_str).collect();
    if left.is_empty() {
        return made.map_err(|error| super::said::of_credentials(&error, credentials));
    }
    Err(format!("it takes no `{}`", left.join("`, `")))
}

/// Credentials, taken one by one.
struct Taken {
    left: Credentials,
}

impl Taken {
    fn may(&mut self, name: &str) -> Option<String> {
        self.left.remove(name).map(|value| value.trim().to_owned())
    }

    fn must(&mut self, name: &str) -> Result<String, String> {
        self.may(name).ok_or_else(|| format!("it needs `{name}`"))
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.may(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(format!("`{name}` is `true` or `false`")),
        }
    }
}

/// The library's own result: its errors may quote what it was given.
type Made = dns_update::Result<DnsUpdater>;

fn by_word(word: &str, taken: &mut Taken) -> Result<Made, String> {
    match word.chars().next() {
        Some('a'..='d') => a_to_d(word, taken),
        Some('e'..='i') => e_to_i(word, taken),
        Some('j'..='o') => j_to_o(word, taken),
        _ => p_to_z(word, taken),
    }
}

const WITHIN: Option<Duration> = Some(REQUEST_TIME);

fn a_to_d(word: &str, t: &mut Taken) -> Result<Made, String> {
    Ok(match word {
        "alidns" => DnsUpdater::new_alidns(
            t.must("access_key")?,
            t.must("secret_key")?,
            t.may("region"),
            t.may("security_token"),
            t.may("line"),
            WITHIN,
        ),
        "arvancloud" => DnsUpdater::new_arvancloud(t.must("api_key")?, WITHIN),
        "autodns" => {
            let context = t.may("context").map(|number| number.parse()).transpose();
            let context = context.map_err(|_| "`context` is a number".to_owned())?;
            DnsUpdater::new_autodns(t.must("username")?, t.must("password")?, context, WITHIN)
        }
        "azuredns" => azuredns(t)?,
        "baiducloud" => {
            DnsUpdater::new_baiducloud(t.must("access_key")?, t.must("secret_key")?, WITHIN)
        }
        "bluecatv2" => DnsUpdater::new_bluecatv2(BluecatV2Config {
            server_url: t.must("server_url")?,
            username: t.must("username")?,
            password: t.must("password")?,
            config_name: t.must("config_name")?,
            view_name: t.must("view_name")?,
            skip_deploy: t.flag("skip_deploy")?,
            request_timeout: WITHIN,
        }),
        "bunny" => DnsUpdater::new_bunny(t.must("api_key")?, WITHIN),
        "cloudflare" => DnsUpdater::new_cloudflare(t.must("api_token")?, WITHIN),
        "cloudns" => {
            let (auth_id, sub_auth_id) = (t.may("auth_id"), t.may("sub_auth_id"));
            DnsUpdater::new_cloudns(auth_id, sub_auth_id, t.must("auth_password")?, WITHIN)
        }
        "constellix" => {
            DnsUpdater::new_constellix(t.must("api_key")?, t.must("secret_key")?, WITHIN)
        }
        "cpanel" => {
            let (url, username) = (t.must("base_url")?, t.must("username")?);
            DnsUpdater::new_cpanel(url, username, t.must("token")?, WITHIN)
        }
        "ddnss" => DnsUpdater::new_ddnss(t.must("key")?, WITHIN),
        "desec" => DnsUpdater::new_desec(t.must("token")?, WITHIN),
        "digitalocean" => DnsUpdater::new_digitalocean(t.must("auth_token")?, WITHIN),
        "dnsimple" => {
            DnsUpdater::new_dnsimple(t.must("access_token")?, t.must("account_id")?, WITHIN)
        }
        "dnsmadeeasy" => {
            DnsUpdater::new_dnsmadeeasy(t.must("api_key")?, t.must("api_secret")?, WITHIN)
        }
        "domeneshop" => {
            DnsUpdater::new_domeneshop(t.must("api_token")?, t.must("api_secret")?, WITHIN)
        }
        "dreamhost" => DnsUpdater::new_dreamhost(t.must("api_key")?, WITHIN),
        "duckdns" => DnsUpdater::new_duckdns(t.must("token")?, WITHIN),
        "dynu" => DnsUpdater::new_dynu(t.must("api_key")?, WITHIN),
        _ => return unknown(word),
    })
}

fn e_to_i(word: &str, t: &mut Taken) -> Result<Made, String> {
    Ok(match word {
        "easydns" => DnsUpdater::new_easydns(t.must("token")?, t.must("key")?, WITHIN),
        "edgedns" => DnsUpdater::new_edgedns(EdgeDnsConfig {
            host: t.must("host")?,
            client_token: t.must("client_token")?,
            client_secret: t.must("client_secret")?,
            access_token: t.must("access_token")?,
            account_switch_key: t.may("account_switch_key"),
            request_timeout: WITHIN,
        }),
        "exoscale" => DnsUpdater::new_exoscale(t.must("api_key")?, t.must("api_secret")?, WITHIN),
        "freemyip" => DnsUpdater::new_freemyip(t.must("token")?, WITHIN),
        "gandiv5" => DnsUpdater::new_gandiv5(t.must("personal_access_token")?, WITHIN),
        "gcloud" => DnsUpdater::new_google_cloud_dns(GoogleCloudDnsConfig {
            service_account_json: t.must("service_account")?,
            project_id: t.must("project")?,
            managed_zone: t.may("managed_zone"),
            private_zone: t.flag("private_zone")?,
            impersonate_service_account: t.may("impersonate_service_account"),
            request_timeout: WITHIN,
        }),
        "gcore" => DnsUpdater::new_gcore(t.must("api_token")?, WITHIN),
        "glesys" => DnsUpdater::new_glesys(t.must("api_user")?, t.must("api_key")?, WITHIN),
        "godaddy" => DnsUpdater::new_godaddy(t.must("api_key")?, t.must("api_secret")?, WITHIN),
        "hetzner" => DnsUpdater::new_hetzner(t.must("api_token")?, WITHIN),
        "hostingde" => DnsUpdater::new_hostingde(t.must("api_key")?, WITHIN),
        "hostinger" => DnsUpdater::new_hostinger(t.must("api_token")?, WITHIN),
        "huaweicloud" => {
            let (key, secret) = (t.must("access_key")?, t.must("secret_key")?);
            DnsUpdater::new_huaweicloud(key, secret, t.must("region")?, WITHIN)
        }
        "hurricane" => {
            let zone = t.must("zone")?.trim_end_matches('.').to_ascii_lowercase();
            DnsUpdater::new_hurricane(HashMap::from([(zone, t.must("key")?)]), WITHIN)
        }
        "ibmcloud" => DnsUpdater::new_ibmcloud(t.must("username")?, t.must("api_key")?, WITHIN),
        "infoblox" => DnsUpdater::new_infoblox(InfobloxConfig {
            host: t.must("host")?,
            port: t.may("port"),
            username: t.must("username")?,
            password: t.must("password")?,
            wapi_version: t.may("wapi_version"),
            dns_view: t.may("dns_view"),
            request_timeout: WITHIN,
        }),
        "infomaniak" => DnsUpdater::new_infomaniak(t.must("access_token")?, WITHIN),
        "inwx" => {
            let (username, password) = (t.must("username")?, t.must("password")?);
            DnsUpdater::new_inwx(username, password, t.flag("sandbox")?, WITHIN)
        }
        "ionos" => DnsUpdater::new_ionos(t.must("api_key")?, WITHIN),
        "ipv64" => DnsUpdater::new_ipv64(t.must("api_key")?, WITHIN),
        _ => return unknown(word),
    })
}

fn j_to_o(word: &str, t: &mut Taken) -> Result<Made, String> {
    Ok(match word {
        "joker" => DnsUpdater::new_joker(JokerAuth::api_key(t.must("api_key")?), WITHIN),
        "lightsail" => DnsUpdater::new_lightsail(LightsailConfig {
            access_key_id: t.must("access_key_id")?,
            secret_access_key: t.must("secret_access_key")?,
            session_token: t.may("session_token"),
            region: t.may("region"),
            domain: t.may("domain"),
            request_timeout: WITHIN,
        }),
        "linode" => DnsUpdater::new_linode(t.must("token")?, WITHIN),
        "luadns" => DnsUpdater::new_luadns(t.must("api_username")?, t.must("api_token")?, WITHIN),
        "mythicbeasts" => {
            DnsUpdater::new_mythicbeasts(t.must("username")?, t.must("password")?, WITHIN)
        }
        "namecheap" => {
            let (user, key) = (t.must("api_user")?, t.must("api_key")?);
            DnsUpdater::new_namecheap(user, key, t.must("client_ip")?, t.may("username"), WITHIN)
        }
        "namedotcom" => {
            DnsUpdater::new_namedotcom(t.must("username")?, t.must("api_token")?, WITHIN)
        }
        "namesilo" => DnsUpdater::new_namesilo(t.must("api_key")?, WITHIN),
        "netcup" => {
            let (number, key) = (t.must("customer_number")?, t.must("api_key")?);
            DnsUpdater::new_netcup(number, key, t.must("api_password")?, WITHIN)
        }
        "netlify" => DnsUpdater::new_netlify(t.must("access_token")?, WITHIN),
        "nifcloud" => {
            DnsUpdater::new_nifcloud(t.must("access_key")?, t.must("secret_key")?, WITHIN)
        }
        "ns1" => DnsUpdater::new_ns1(t.must("api_key")?, WITHIN),
        "oraclecloud" => DnsUpdater::new_oraclecloud(OracleCloudConfig {
            tenancy_ocid: t.must("tenancy_ocid")?,
            user_ocid: t.must("user_ocid")?,
            fingerprint: t.must("fingerprint")?,
            private_key_pem: t.must("private_key")?,
            private_key_password: t.may("private_key_password"),
            region: t.must("region")?,
            compartment_ocid: t.must("compartment_ocid")?,
            request_timeout: WITHIN,
        }),
        "ovh" => {
            let (key, secret) = (t.must("application_key")?, t.must("application_secret")?);
            let endpoint = t.must("endpoint")?.parse::<OvhEndpoint>();
            let endpoint = endpoint.map_err(|_| "`endpoint` is none of OVH's".to_owned())?;
            DnsUpdater::new_ovh(key, secret, t.must("consumer_key")?, endpoint, WITHIN)
        }
        _ => return unknown(word),
    })
}

fn p_to_z(word: &str, t: &mut Taken) -> Result<Made, String> {
    Ok(match word {
        "pdns" => {
            let (endpoint, server) = (t.may("endpoint"), t.may("server_name"));
            DnsUpdater::new_pdns(t.must("api_key")?, endpoint, server, WITHIN)
        }
        "plesk" => DnsUpdater::new_plesk(t.must("base_url")?, t.must("api_key")?, WITHIN),
        "porkbun" => DnsUpdater::new_porkbun(t.must("api_key")?, t.must("secret_api_key")?, WITHIN),
        "route53" => DnsUpdater::new_route53(Route53Config {
            access_key_id: t.must("access_key_id")?,
            secret_access_key: t.must("secret_access_key")?,
            session_token: t.may("session_token"),
            region: t.may("region"),
            hosted_zone_id: t.may("hosted_zone_id"),
            private_zone_only: None,
            endpoint: t.may("endpoint").map(|url| url.trim_end_matches('/').to_owned()),
        }),
        "safedns" => DnsUpdater::new_safedns(t.must("auth_token")?, WITHIN),
        "scaleway" => DnsUpdater::new_scaleway(t.must("api_token")?, WITHIN),
        "selectel" => {
            let (username, password) = (t.must("username")?, t.must("password")?);
            let (account, project) = (t.must("account_id")?, t.must("project_id")?);
            DnsUpdater::new_selectel(username, password, account, project, WITHIN)
        }
        "simply" => DnsUpdater::new_simplycom(t.must("account_name")?, t.must("api_key")?, WITHIN),
        "spaceship" => DnsUpdater::new_spaceship(t.must("api_key")?, t.must("api_secret")?, WITHIN),
        "tencentcloud" => {
            let (id, secret) = (t.must("secret_id")?, t.must("secret_key")?);
            let (region, token) = (t.may("region"), t.may("session_token"));
            DnsUpdater::new_tencentcloud(id, secret, region, token, WITHIN)
        }
        "transip" => {
            let (login, key) = (t.must("login")?, t.must("private_key")?);
            DnsUpdater::new_transip(login, key, t.flag("global_key")?, WITHIN)
        }
        "ultradns" => {
            let (username, password) = (t.must("username")?, t.must("password")?);
            DnsUpdater::new_ultradns(username, password, t.may("endpoint"), WITHIN)
        }
        "vercel" => DnsUpdater::new_vercel(t.must("auth_token")?, t.may("team_id"), WITHIN),
        "volcengine" => DnsUpdater::new_volcengine(VolcengineConfig {
            access_key: t.must("access_key")?,
            secret_key: t.must("secret_key")?,
            region: t.may("region"),
            host: t.may("host"),
            scheme: t.may("scheme"),
            request_timeout: WITHIN,
        }),
        "vultr" => DnsUpdater::new_vultr(t.must("api_key")?, WITHIN),
        "websupport" => DnsUpdater::new_websupport(t.must("api_key")?, t.must("secret")?, WITHIN),
        "yandexcloud" => DnsUpdater::new_yandexcloud(YandexCloudConfig {
            iam_token_b64: t.must("service_account")?,
            folder_id: t.must("folder_id")?,
            request_timeout: WITHIN,
        }),
        "zoneee" => DnsUpdater::new_zoneeu(t.must("username")?, t.must("api_key")?, WITHIN),
        _ => return unknown(word),
    })
}

fn azuredns(t: &mut Taken) -> Result<Made, String> {
    let environment = match t.may("environment").as_deref() {
        None | Some("public") => AzureEnvironment::Public,
        Some("china") => AzureEnvironment::China,
        Some("usgovernment") => AzureEnvironment::UsGovernment,
        Some(_) => return Err("`environment` is `public`, `china` or `usgovernment`".to_owned()),
    };
    Ok(DnsUpdater::new_azuredns(AzureDnsConfig {
        tenant_id: t.must("tenant_id")?,
        client_id: t.must("client_id")?,
        client_secret: t.must("client_secret")?,
        subscription_id: t.must("subscription_id")?,
        resource_group: t.must("resource_group")?,
        environment,
        request_timeout: WITHIN,
    }))
}

fn unknown(word: &str) -> Result<Made, String> {
    Err(format!("no provider is called `{word}`"))
}
