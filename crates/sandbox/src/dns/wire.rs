//! The model's words and the wire's.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record as WireRecord, RecordType};
use perennial_sim::model::dns::{Caa, Data, Kind, Rcode, Record};

/// Returns a name of the wire as the model writes it: lower case, no final dot.
pub(super) fn text_of(name: &Name) -> Box<str> {
    let text = name.to_lowercase().to_ascii();
    text.strip_suffix('.').unwrap_or(&text).into()
}

/// Returns a name of the model as the wire writes it; nothing where it is none.
pub(super) fn name_of(text: &str) -> Option<Name> {
    let mut name = if text.is_empty() { Name::root() } else { Name::from_ascii(text).ok()? };
    name.set_fqdn(true);
    Some(name)
}

pub(super) const fn kind_of(record_type: RecordType) -> Kind {
    match record_type {
        RecordType::A => Kind::A,
        RecordType::AAAA => Kind::Aaaa,
        RecordType::CNAME => Kind::Cname,
        RecordType::NS => Kind::Ns,
        RecordType::SOA => Kind::Soa,
        RecordType::TXT => Kind::Txt,
        RecordType::CAA => Kind::Caa,
        _ => Kind::Other,
    }
}

pub(super) const fn type_of(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Cname => RecordType::CNAME,
        Kind::Ns => RecordType::NS,
        Kind::Soa => RecordType::SOA,
        Kind::Txt => RecordType::TXT,
        Kind::Caa => RecordType::CAA,
        Kind::Other => RecordType::NULL,
    }
}

pub(super) const fn code_of(rcode: Rcode) -> ResponseCode {
    match rcode {
        Rcode::NoError => ResponseCode::NoError,
        Rcode::NxDomain => ResponseCode::NXDomain,
        Rcode::ServFail => ResponseCode::ServFail,
        Rcode::Refused => ResponseCode::Refused,
        Rcode::NotAuth => ResponseCode::NotAuth,
        Rcode::NotZone => ResponseCode::NotZone,
        Rcode::YxDomain => ResponseCode::YXDomain,
        Rcode::YxRrSet => ResponseCode::YXRRSet,
        Rcode::NxRrSet => ResponseCode::NXRRSet,
    }
}

/// Returns what a record of the wire says; nothing for types that the model does not know.
pub(super) fn data_of(rdata: &RData) -> Option<Data> {
    match rdata {
        RData::A(A(ip)) => Some(Data::A(Ipv4Addr::from(ip.octets()))),
        RData::AAAA(AAAA(ip)) => Some(Data::Aaaa(Ipv6Addr::from(ip.octets()))),
        RData::CNAME(CNAME(name)) => Some(Data::Cname(text_of(name))),
        RData::NS(NS(name)) => Some(Data::Ns(text_of(name))),
        RData::SOA(soa) => Some(Data::Soa { primary: text_of(&soa.mname), serial: soa.serial }),
        RData::TXT(txt) => {
            let bytes = txt.txt_data.concat();
            Some(Data::Txt(String::from_utf8_lossy(&bytes).into()))
        }
        RData::CAA(caa) => Some(Data::Caa(Caa {
            critical: caa.issuer_critical,
            tag: caa.tag.as_str().into(),
            value: String::from_utf8_lossy(&caa.value).into(),
        })),
        _ => None,
    }
}

/// Returns a record of the wire in the model's words.
pub(super) fn record_of(record: &WireRecord) -> Option<Record> {
    let data = data_of(&record.data)?;
    Some(Record { name: text_of(&record.name), ttl: record.ttl, data })
}

/// Returns a record of the model as the wire writes it; nothing where a name in it is none.
pub(super) fn to_wire(record: &Record) -> Option<WireRecord> {
    let name = name_of(&record.name)?;
    let rdata = match &record.data {
        Data::A(ip) => RData::A(A(*ip)),
        Data::Aaaa(ip) => RData::AAAA(AAAA(*ip)),
        Data::Cname(target) => RData::CNAME(CNAME(name_of(target)?)),
        Data::Ns(server) => RData::NS(NS(name_of(server)?)),
        Data::Soa { primary, serial } => {
            let hostmaster = name_of(&format!("hostmaster.{}", record.name))?;
            // Refresh, retry, expire; and a minute for what is not there (RFC 2308).
            RData::SOA(SOA::new(name_of(primary)?, hostmaster, *serial, 3600, 600, 86_400, 60))
        }
        // A string on the wire holds 255 octets.
        Data::Txt(text) if text.is_empty() => RData::TXT(TXT::from_bytes(vec![b""])),
        Data::Txt(text) => RData::TXT(TXT::from_bytes(text.as_bytes().chunks(255).collect())),
        Data::Caa(caa) => RData::CAA(caa_to_wire(caa)?),
    };
    Some(WireRecord::from_rdata(name, record.ttl, rdata))
}

/// The wire's type cannot be made of its parts in another way than by reading it.
fn caa_to_wire(caa: &Caa) -> Option<CAA> {
    let mut wire = CAA::new_issue(caa.critical, None, Vec::new());
    wire.tag = caa.tag.to_string();
    wire.value = caa.value.as_bytes().to_vec();
    (!wire.tag.is_empty()).then_some(wire)
}
