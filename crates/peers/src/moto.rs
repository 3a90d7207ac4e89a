//! moto: plays the API of Amazon Route 53. It keeps records and serves no DNS.

use std::fmt::Write;
use std::process::Command;

use tempfile::TempDir;

use crate::client::{body, client};
use crate::error::temp_dir;
use crate::process::{Process, listens};
use crate::{Error, Port, Program};

/// A running moto.
#[derive(Debug)]
pub struct Moto {
    _process: Process,
    api: Port,
    _dir: TempDir,
}

impl Moto {
    /// Starts moto and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not answer in time (with its log).
    pub async fn start() -> Result<Self, Error> {
        let dir = temp_dir("moto")?;
        let api = Port::free()?;
        let mut command = Command::new(Program::MOTO_SERVER.locate()?);
        command.args(["-H", "127.0.0.1", "-p", &api.number().to_string()]);
        command.current_dir(dir.path());
        let process = Process::start("moto_server", command, &dir.path().join("log"))?;
        process.ready(|| listens(api.v4())).await?;
        Ok(Self { _process: process, api, _dir: dir })
    }

    /// Returns where its API is.
    #[must_use]
    pub fn api(&self) -> String {
        format!("http://{}", self.api.v4())
    }

    /// Makes a hosted zone and returns its identifier.
    ///
    /// # Errors
    ///
    /// With what it said, when it refuses.
    pub async fn make_zone(&self, zone: &str) -> Result<String, Error> {
        let request = format!(
            "<CreateHostedZoneRequest xmlns=\"{NAMESPACE}\"><Name>{zone}.</Name>\
             <CallerReference>{zone}</CallerReference></CreateHostedZoneRequest>"
        );
        let made = self.post("hostedzone", request).await?;
        let id = between(&made, "<Id>/hostedzone/", "</Id>").next().map(str::to_owned);
        id.ok_or_else(|| Error::failed(format!("making the zone {zone} at moto"), made))
    }

    /// Sets the TXT values of a name.
    ///
    /// # Errors
    ///
    /// With what it said, when it refuses.
    pub async fn set_texts(&self, id: &str, name: &str, texts: &[&str]) -> Result<(), Error> {
        let mut values = String::new();
        for text in texts {
            let _ = write!(values, "<ResourceRecord><Value>\"{text}\"</Value></ResourceRecord>");
        }
        let request = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"{NAMESPACE}\"><ChangeBatch><Changes><Change>\
             <Action>UPSERT</Action><ResourceRecordSet><Name>{name}.</Name><Type>TXT</Type>\
             <TTL>60</TTL><ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>\
             </Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        self.post(&format!("hostedzone/{id}/rrset"), request).await.map(drop)
    }

    /// Returns the TXT values of every name of a zone, sorted, without quotes.
    ///
    /// # Errors
    ///
    /// With what it said, when it refuses.
    pub async fn texts(&self, id: &str) -> Result<Vec<String>, Error> {
        let url = format!("{}/2013-04-01/hostedzone/{id}/rrset", self.api());
        let request = client("")?.get(url).header("Authorization", SIGNED);
        let listed = body("listing records at moto", request.send().await).await?;
        let sets = between(&listed, "<ResourceRecordSet>", "</ResourceRecordSet>");
        let of_text = sets.filter(|set| set.contains("<Type>TXT</Type>"));
        let values = of_text.flat_map(|set| between(set, "<Value>", "</Value>"));
        let plain = |value: &str| value.replace("&quot;", "").replace('"', "");
        let mut values: Vec<String> = values.map(plain).collect();
        values.sort();
        Ok(values)
    }

    async fn post(&self, path: &str, xml: String) -> Result<String, Error> {
        let url = format!("{}/2013-04-01/{path}", self.api());
        let request = client("")?.post(url).header("Authorization", SIGNED);
        let request = request.header("Content-Type", "text/xml").body(xml);
        body("changing moto's Route 53", request.send().await).await
    }
}

/// By this moto knows which service is meant; it looks at no signature.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/us-east-1/route53/aws4_request, \
                      SignedHeaders=host, Signature=0";

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// Returns every text between two marks.
fn between<'a>(text: &'a str, begin: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(begin).skip(1).filter_map(move |rest| rest.split_once(end).map(|(inner, _)| inner))
}
