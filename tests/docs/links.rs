//! The documentation holds together: links lead to what is there, the book has all pages, and what is said of the command line
//! exists.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};

use clap::CommandFactory as _;
use eventmesh_catalog::config::Cli;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// Where the repository is read by those who have the book alone.
const PUBLISHED: [&str; 2] = [
    "https://github.com/eventmesh-catalog/eventmesh-catalog/blob/main/",
    "https://github.com/eventmesh-catalog/eventmesh-catalog/tree/main/",
];
/// Folders with what others wrote, or what is made.
const FOREIGN: [&str; 5] = ["target", "node_modules", "dist", "dist-dynamic", ".git"];

/// What a page has.
#[derive(Debug, Default)]
struct Page {
    links: Vec<(usize, String)>,
    anchors: BTreeSet<String>,
    /// Fenced blocks and indented ones, by their first lines.
    blocks: Vec<(usize, String)>,
}

/// All pages by their paths in the repository.
fn pages() -> BTreeMap<PathBuf, Page> {
    let mut pages = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(REPOSITORY).join(&folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let path = folder.join(&name);
            if entry.file_type().unwrap().is_dir() {
                if !FOREIGN.contains(&&*name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|it| it == "md") {
                let text = fs::read_to_string(entry.path()).unwrap();
                pages.insert(path, Page::read(&text));
            }
        }
    }
    pages
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut slugs = HashMap::new();
        let (mut heading, mut block) = (None::<String>, None::<(usize, String)>);
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line(range.start), dest_url.to_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let seen = slugs.entry(slug.clone()).or_insert(0);
                    page.anchors.insert(if *seen == 0 { slug } else { format!("{slug}-{seen}") });
                    *seen += 1;
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let is_shell = match &kind {
                        CodeBlockKind::Indented => true,
                        CodeBlockKind::Fenced(info) => info.split([' ', ',']).next() == Some("sh"),
                    };
                    block = is_shell.then(|| (line(range.start), String::new()));
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some((_, block)) = &mut block {
                        block.push_str(&text);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => (),
            }
        }
        page
    }
}

/// What a heading is linked by, here as on GitHub and in the book.
fn slug(heading: &str) -> String {
    let letters = heading.trim().chars().filter(|it| it.is_alphanumeric() || [' ', '-', '_'].contains(it));
    letters.flat_map(char::to_lowercase).map(|it| if it == ' ' { '-' } else { it }).collect()
}

/// The path that a link of a page leads to, in the repository; `None` where it leaves it.
fn destination(page: &Path, link: &str) -> Option<PathBuf> {
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for component in Path::new(link).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => path.pop().then_some(())?,
            Component::CurDir => (),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// What is wrong with a link.
fn fault(pages: &BTreeMap<PathBuf, Page>, page: &Path, link: &str) -> Option<String> {
    let (target, anchor) = link.split_once('#').map_or((link, None), |(target, anchor)| (target, Some(anchor)));
    let in_repository = PUBLISHED.iter().find_map(|it| target.strip_prefix(it));
    let path = match in_repository {
        Some(path) => PathBuf::from(path),
        None if target.contains("://") => {
            let known = target.starts_with("https://") || target.starts_with("http://127.0.0.1:");
            return (!known || target.parse::<http::Uri>().is_err()).then(|| "it is no address".into());
        }
        None if target.is_empty() => page.to_owned(),
        None => {
            let path = destination(page, target)?;
            if page.starts_with("docs") && !path.starts_with("docs") {
                return Some(format!("the book does not have it; write {}{}", PUBLISHED[0], path.display()));
            }
            path
        }
    };
    if !Path::new(REPOSITORY).join(&path).exists() {
        return Some(format!("there is no {}", path.display()));
    }
    let anchor = anchor?;
    let has_it = pages.get(&path).is_some_and(|it| it.anchors.contains(anchor));
    (!has_it).then(|| format!("{} has no heading `{anchor}`", path.display()))
}

#[test]
fn links_lead_to_what_is_there() {
    let pages = pages();
    let all = pages.iter().flat_map(|(path, page)| page.links.iter().map(move |link| (path, link)));
    let faults = all.filter_map(|(path, (line, link))| {
        let why = fault(&pages, path, link)?;
        Some(format!("{}:{line}: {link}: {why}", path.display()))
    });
    let faults: Vec<_> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(pages.values().map(|it| it.links.len()).sum::<usize>() > 50, "links are found");
}

/// Such as an alert, which says where it is told what to do.
#[test]
fn what_is_deployed_names_pages_that_are_there() {
    let pages = pages();
    let mut folders = vec![Path::new(REPOSITORY).join("config")];
    let mut faults = vec![];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap();
            let words = text.split(|it: char| it.is_whitespace() || "\"'`<>()".contains(it));
            for link in words.filter(|word| PUBLISHED.iter().any(|it| word.starts_with(it))) {
                let why = fault(&pages, Path::new(""), link.trim_end_matches(['.', ',']));
                faults.extend(why.map(|why| format!("{}: {link}: {why}", entry.path().display())));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = Page::read("# A heading: `code` & more\n\n## Again\n\n## Again\n");
    assert_eq!(page.anchors.iter().collect::<Vec<_>>(), ["a-heading-code--more", "again", "again-1"]);
    let pages = BTreeMap::from([(PathBuf::from("docs/SUMMARY.md"), page)]);
    let published = PUBLISHED[0];
    for (link, is_fine) in [
        ("SUMMARY.md", true),
        ("#again-1", true),
        ("SUMMARY.md#again", true),
        ("#again-2", false),
        ("missing.md", false),
        ("../README.md", false),
        (&format!("{published}README.md"), true),
        (&format!("{published}MISSING.md"), false),
        ("https://example.com/a#b", true),
        ("ftp://example.com", false),
        ("https://exa mple.com", false),
    ] {
        assert_eq!(fault(&pages, Path::new("docs/SUMMARY.md"), link).is_none(), is_fine, "{link}");
    }
}

#[test]
fn the_book_has_all_pages() {
    let pages = pages();
    let summary = &pages[Path::new("docs/SUMMARY.md")];
    let listed: BTreeSet<_> = summary.links.iter().map(|(_, link)| Path::new("docs").join(link)).collect();
    assert_eq!(listed.len(), summary.links.len(), "each once");
    let there = pages.keys().filter(|it| it.starts_with("docs") && !it.ends_with("SUMMARY.md")).cloned();
    assert_eq!(listed, there.collect::<BTreeSet<_>>());
}

/// The flags of a command of the program, of those below it, and of all.
fn flags(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|it| it.get_long()).map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(flags)).chain(["help".into(), "version".into()]).collect()
}

#[test]
fn flags_that_are_named_exist() {
    let program = Cli::command();
    let everywhere: BTreeSet<_> = program.get_arguments().filter_map(|it| it.get_long()).map(str::to_owned).collect();
    let mut faults = vec![];
    let mut seen = 0;
    for (path, page) in pages() {
        for (line, block) in &page.blocks {
            let block = block.replace("\\\n", " ");
            // What is in front of it on a line, such as another command, is not its own, nor what comes after it.
            for command in block.split(['\n', '|', ';', '&', '#']) {
                let mut words = command.split_whitespace().skip_while(|it| !it.ends_with("eventmesh-catalog"));
                let Some(name) = words.next().and(words.next()) else { continue };
                let Some(subcommand) = program.find_subcommand(name) else { continue };
                let known = flags(subcommand);
                for flag in words.filter_map(|it| it.strip_prefix("--")) {
                    let flag = flag.split_once('=').map_or(flag, |(flag, _)| flag);
                    seen += 1;
                    if !known.contains(flag) && !everywhere.contains(flag) {
                        faults.push(format!("{}:{line}: {name} --{flag}", path.display()));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 20, "flags are found");
}
