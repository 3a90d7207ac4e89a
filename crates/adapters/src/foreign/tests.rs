//! Trees that are broken, and what is said of them.

use std::fs;

use super::*;

#[test]
fn a_folder_without_the_marks_of_a_tool_is_none_of_its_trees() {
    let folder = tempfile::tempdir().unwrap();
    for tool in Tool::ALL {
        let error = tool.read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("it holds neither"), "{error}");
        let error = tool.read(&folder.path().join("absent")).unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}

#[test]
fn what_is_broken_is_told_with_its_path_and_hides_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("accounts/ca.test/directory/0a1b/private_key.json", "{}");
    put("renewal/gone.test.conf", "[renewalparams]\nauthenticator = webroot\n");
    put("renewal/broken.test.conf", "[renewalparams]\n");
    put("live/broken.test/fullchain.pem", "no certificate");
    let tree = Tool::Certbot.read(root).unwrap();
    assert!(tree.accounts.is_empty() && tree.lineages.is_empty());
    let told = tree.problems.join("\n");
    assert_eq!(tree.problems.len(), 3, "{told}");
    for part in ["0a1b/private_key.json: not a", "gone.test/fullchain.pem: No such file"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(told.contains("broken.test/fullchain.pem: there is no certificate in it"), "{told}");
}

#[test]
fn a_pipe_or_an_endless_file_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(read::file(&pipe).unwrap_err().ends_with("it is no file"));
    let long = folder.path().join("long");
    fs::File::create(&long).unwrap().set_len(1 << 40).unwrap();
    assert!(read::file(&long).unwrap_err().contains("it is longer than"));
}

#[test]
fn a_directory_is_told_by_its_url_or_by_its_host() {
    let url = Directory::Url("https://ca.test/directory".into());
    assert!(url.is("https://ca.test/directory/") && !url.is("https://ca.test/other"));
    let host = Directory::Host("ca.test:14000".into());
    assert!(host.is("https://ca.test:14000/dir") && !host.is("https://ca.test/dir"));
    assert!(Directory::Host("ca.test".into()).is("https://CA.test:443/dir"));
}
