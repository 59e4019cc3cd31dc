use super::*;
use crate::cloud::access_key_of;

const HELLO: &str = "afi-0ccd812687c77c5b8";

fn named(cloud: &CloudServer, parameters: &[(&str, &str)]) -> Vec<String> {
    let answer = describe(cloud, parameters);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.all("name")
}

fn filtered(cloud: &CloudServer, name: &str, value: &str) -> Vec<String> {
    let answer = describe(
        cloud,
        &[("Filter.1.Name", name), ("Filter.1.Value.1", value)],
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.all("fpgaImageId")
}

#[test]
fn the_hello_world_of_the_public_documents_is_described_field_by_field() {
    let cloud = start();
    let answer = describe(&cloud, &[("FpgaImageId.1", HELLO)]);
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-type: text/xml;charset=utf-8"),
        "{}",
        answer.head
    );
    assert!(
        answer
            .head
            .contains(&format!("x-amzn-requestid: {}", answer.one("requestId")))
    );
    let expected = "<fpgaImageSet><item>\
        <fpgaImageId>afi-0ccd812687c77c5b8</fpgaImageId>\
        <fpgaImageGlobalId>agfi-088bffb3ab91ca2d1</fpgaImageGlobalId>\
        <name>hello_world_1.3.0</name><description>Hello World AFI</description>\
        <shellVersion>0x071417d3</shellVersion>\
        <pciId><DeviceId>0xf000</DeviceId><VendorId>0x1d0f</VendorId>\
        <SubsystemId>0x1d51</SubsystemId><SubsystemVendorId>0xfedd</SubsystemVendorId></pciId>\
        <state><code>available</code></state>\
        <createTime>2017-07-26T18:42:42.000Z</createTime><updateTime>2017-07-26T19:09:24.000Z</updateTime>\
        <ownerId>095707098027</ownerId><ownerAlias>amazon</ownerAlias>\
        <tags></tags><public>true</public><dataRetentionSupport>false</dataRetentionSupport>\
        <instanceTypes><item>f1.2xlarge</item><item>f1.4xlarge</item><item>f1.16xlarge</item></instanceTypes>\
        </item></fpgaImageSet></DescribeFpgaImagesResponse>";
    assert!(answer.body.ends_with(expected), "{}", answer.body);
    assert!(answer.body.contains(
        "<DescribeFpgaImagesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
    ));
    assert_eq!(cloud.requests(), 1);
}

#[test]
fn an_account_sees_its_own_public_and_shared_images_of_the_region() {
    let cloud = start();
    let here = named(&cloud, &[]);
    for name in [
        "cl_hello_world",
        "cl_dram_hbm_dma",
        "cl_shared",
        "hello_world_1.3.0",
        "cl_pending",
    ] {
        assert!(here.iter().any(|seen| seen == name), "{name}");
    }
    for name in ["cl_foreign", "cl_west", "copy"] {
        assert!(!here.iter().any(|seen| seen == name), "{name}");
    }
    let everything = [("Action", "DescribeFpgaImages")];
    let west = call_as(&cloud, KEY, "us-west-2", &everything);
    assert_eq!(west.all("name"), ["cl_west"]);
    let owner = access_key_of("095707098027".parse().unwrap());
    let theirs = call_as(&cloud, &owner, "us-west-2", &everything);
    let ids = [
        "afi-0a4a231c9804af6c6",
        "afi-0ec49a946f276c5f5",
        "afi-0f1f1000000000021",
    ];
    assert_eq!(theirs.all("fpgaImageId"), ids);
    assert_eq!(theirs.all("message").len(), 2);
    // A copy under way has no global id, shell or ids yet.
    let pending = theirs.all("item").remove(1);
    assert!(
        pending.contains("<code>pending</code>") && !pending.contains("fpgaImageGlobalId"),
        "{pending}"
    );
}

#[test]
fn ids_that_are_unknown_unseen_or_malformed_each_have_their_error() {
    let cloud = start();
    for (id, code) in [
        ("afi-0f1f10000000000ff", "InvalidFpgaImageID.NotFound"),
        ("afi-0f1f1000000000014", "InvalidFpgaImageID.NotFound"),
        ("afi-0f1f1000000000015", "InvalidFpgaImageID.NotFound"),
        ("agfi-0f1f1000000000001", "InvalidFpgaImageID.Malformed"),
        ("afi-123", "InvalidFpgaImageID.Malformed"),
        ("", "InvalidFpgaImageID.Malformed"),
    ] {
        let answer = describe(&cloud, &[("FpgaImageId.1", HELLO), ("FpgaImageId.2", id)]);
        assert_eq!(answer.error(), (400, code.to_owned()));
        assert!(answer.one("Message").contains(id), "{}", answer.body);
    }
}

#[test]
fn a_global_id_that_is_not_seen_is_an_empty_list() {
    let cloud = start();
    let of = |agfi| filtered(&cloud, "fpga-image-global-id", agfi);
    assert_eq!(of("agfi-0f1f1000000000001"), ["afi-0f1f1000000000001"]);
    assert_eq!(
        of("agfi-088bffb3ab91ca2d1"),
        ["afi-01a7ea9bafe3ef8cc", HELLO]
    );
    assert!(of("agfi-0f1f1000000000014").is_empty());
    assert!(of("agfi-0f1f10000000000ff").is_empty());
}

#[test]
fn every_filter_looks_at_its_own_field() {
    let cloud = start();
    for (name, value, ids) in [
        (
            "create-time",
            "2017-07-26*",
            &["afi-01a7ea9bafe3ef8cc", HELLO][..],
        ),
        (
            "update-time",
            "2017-07-26T19:09:24.000Z",
            &["afi-01a7ea9bafe3ef8cc", HELLO],
        ),
        ("create-time", "2026-02-0?T*", &["afi-0f1f1000000000017"]),
        ("fpga-image-id", "afi-0ccd*", &[HELLO]),
        (
            "name",
            "cl_dram_*dma",
            &["afi-0f1f1000000000002", "afi-0f2f2000000000002"],
        ),
        (
            "name",
            "cl_twic?",
            &["afi-0f1f1000000000016", "afi-0f1f1000000000017"],
        ),
        ("name", r"cl_twic\?", &[]),
        ("owner-id", "1111*", &["afi-0f1f1000000000004"]),
        ("product-code", "*", &[]),
        ("shell-version", "0x10162423", &["afi-0f2f2000000000011"]),
        ("state", "pending", &["afi-0f1f1000000000011"]),
        ("tag:design", "hello-world", &["afi-0f1f1000000000001"]),
        ("tag:nothing", "*", &[]),
        (
            "tag-key",
            "desig?",
            &[
                "afi-0f1f1000000000001",
                "afi-0f1f1000000000002",
                "afi-0f2f2000000000001",
                "afi-0f2f2000000000002",
            ],
        ),
    ] {
        assert_eq!(filtered(&cloud, name, value), ids, "{name} {value}");
    }
    let both = [
        ("Filter.1.Name", "tag:project"),
        ("Filter.1.Value.1", "other"),
        ("Filter.1.Value.2", "demo"),
        ("Filter.2.Name", "shell-version"),
        ("Filter.2.Value.1", "0x04261818"),
    ];
    assert_eq!(named(&cloud, &both), ["cl_hello_world", "cl_dram_dma"]);
    let unknown = describe(
        &cloud,
        &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "x")],
    );
    assert_eq!(unknown.error(), (400, "InvalidParameterValue".to_owned()));
    assert!(unknown.one("Message").contains("'colour'"));
}

#[test]
fn tags_and_product_codes_are_shown_and_tags_to_their_owner_only() {
    let text = r#"
        [[image]]
        afi = "afi-0f1f1000000000001"
        region = "us-east-1"
        state = "pending"
        name = "a<b & \"c\""
        public = true
        product_codes = ["abc"]
        tags = { owner = "me" }
    "#;
    let mut config = CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1));
    config.catalog =
        crate::catalog::SharedCatalog::new(crate::catalog::Catalog::parse("t", text).unwrap());
    let cloud = CloudServer::start(config).unwrap();
    let own = describe(&cloud, &[]);
    assert_eq!(own.one("name"), "a&lt;b &amp; \"c\"");
    assert_eq!(
        own.one("tags"),
        "<item><key>owner</key><value>me</value></item>"
    );
    assert_eq!(
        own.one("productCodes"),
        "<item><productCode>abc</productCode><type>marketplace</type></item>"
    );
    let other = access_key_of("111122223333".parse().unwrap());
    let seen = call_as(
        &cloud,
        &other,
        "us-east-1",
        &[("Action", "DescribeFpgaImages")],
    );
    assert_eq!(seen.one("tags"), "");
    let by_tag = [
        ("Action", "DescribeFpgaImages"),
        ("Filter.1.Name", "tag:owner"),
        ("Filter.1.Value.1", "me"),
    ];
    assert!(
        call_as(&cloud, &other, "us-east-1", &by_tag)
            .all("fpgaImageId")
            .is_empty()
    );
    assert_eq!(
        filtered(&cloud, "product-code", "a?c"),
        ["afi-0f1f1000000000001"]
    );
}

#[test]
fn owners_are_self_aliases_and_accounts() {
    let cloud = start();
    assert_eq!(
        named(&cloud, &[("Owner.1", "amazon")]),
        ["hello_world_1.3.0"; 2]
    );
    assert_eq!(
        named(&cloud, &[("Owner.1", "095707098027")]),
        ["hello_world_1.3.0"; 2]
    );
    assert_eq!(named(&cloud, &[("Owner.1", "111122223333")]), ["cl_shared"]);
    assert!(named(&cloud, &[("Owner.1", "aws-marketplace")]).is_empty());
    let own = named(&cloud, &[("Owner.1", "self")]);
    assert!(own.contains(&"cl_hello_world".to_owned()) && !own.contains(&"cl_shared".to_owned()));
    let both = named(&cloud, &[("Owner.1", "self"), ("Owner.2", "111122223333")]);
    assert_eq!(both.len(), own.len() + 1);
    let wrong = describe(&cloud, &[("Owner.1", "me")]);
    assert_eq!(wrong.error(), (400, "InvalidUserID.Malformed".to_owned()));
}

#[test]
fn pages_lead_to_the_end_and_repeat_nothing() {
    let cloud = start();
    let all = describe(&cloud, &[]).all("fpgaImageId");
    assert!(all.len() > 10);
    let mut seen = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut parameters = vec![("MaxResults", "5")];
        if let Some(token) = &token {
            parameters.push(("NextToken", token));
        }
        let page = describe(&cloud, &parameters);
        let ids = page.all("fpgaImageId");
        assert!((1..=5).contains(&ids.len()));
        seen.extend(ids);
        let next = page.all("nextToken");
        let Some(next) = next.first() else { break };
        assert!(!next.contains("afi-"), "{next}");
        token = Some(next.clone());
    }
    assert_eq!(seen, all);
    // A token without a size gives the rest.
    let first = describe(&cloud, &[("MaxResults", "5")]).one("nextToken");
    let rest = describe(&cloud, &[("NextToken", &first)]);
    assert_eq!(rest.all("fpgaImageId"), all[5..]);
    assert!(rest.all("nextToken").is_empty());
}

#[test]
fn wrong_pages_are_refused() {
    let cloud = start();
    for size in ["4", "1001", "-1", "x", ""] {
        let answer = describe(&cloud, &[("MaxResults", size)]);
        assert_eq!(answer.error(), (400, "InvalidParameterValue".to_owned()));
        assert!(answer.one("Message").contains("from 5 to 1000"));
    }
    let token = describe(&cloud, &[("MaxResults", "5")]).one("nextToken");
    let of_another_query = [("NextToken", token.as_str()), ("Owner.1", "self")];
    for parameters in [
        &of_another_query[..],
        &[("NextToken", "x")],
        &[("NextToken", "")],
    ] {
        let answer = describe(&cloud, parameters);
        assert_eq!(answer.error(), (400, "InvalidParameterValue".to_owned()));
    }
    let elsewhere = [
        ("Action", "DescribeFpgaImages"),
        ("NextToken", token.as_str()),
    ];
    assert_eq!(call_as(&cloud, KEY, "us-west-2", &elsewhere).error().0, 400);
    let combined = describe(&cloud, &[("FpgaImageId.1", HELLO), ("MaxResults", "5")]);
    assert_eq!(
        combined.error(),
        (400, "InvalidParameterCombination".to_owned())
    );
}

#[test]
fn a_dry_run_tells_that_it_would_have_worked() {
    let cloud = start();
    assert_eq!(
        describe(&cloud, &[("DryRun", "true")]).error(),
        (412, "DryRunOperation".to_owned())
    );
    assert_eq!(describe(&cloud, &[("DryRun", "false")]).status, 200);
    assert_eq!(
        describe(&cloud, &[("DryRun", "yes")]).error(),
        (400, "InvalidParameterValue".to_owned())
    );
}

#[test]
fn what_the_api_does_not_have_is_refused() {
    let cloud = start();
    let code = |parameters: &[(&str, &str)]| call_as(&cloud, KEY, "us-east-1", parameters).error();
    assert_eq!(code(&[]), (400, "MissingAction".to_owned()));
    assert_eq!(
        code(&[("Action", "RunInstances")]),
        (400, "InvalidAction".to_owned())
    );
    assert_eq!(
        code(&[("Action", "GetCallerIdentity")]),
        (400, "InvalidAction".to_owned())
    );
    let misspelt = [("Action", "DescribeFpgaImages"), ("FpgaImageIds.1", HELLO)];
    assert_eq!(code(&misspelt), (400, "UnknownParameter".to_owned()));
    let headers = [("Authorization", authorization(KEY, "us-east-1", "ec2"))];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let old = b"Action=DescribeFpgaImages&Version=2010-01-01";
    let answer = send(&cloud.ec2_endpoint(), "POST", "/", &headers, old);
    assert_eq!(answer.error(), (400, "NoSuchVersion".to_owned()));
    let unsigned = send(
        &cloud.ec2_endpoint(),
        "POST",
        "/",
        &[],
        b"Action=DescribeFpgaImages",
    );
    assert_eq!(
        unsigned.error(),
        (403, "MissingAuthenticationToken".to_owned())
    );
    let elsewhere = send(&cloud.ec2_endpoint(), "GET", "/bucket/key", &headers, b"");
    assert_eq!(elsewhere.error().0, 404);
    let deleted = send(&cloud.ec2_endpoint(), "DELETE", "/", &headers, b"");
    assert_eq!(deleted.error().0, 405);
}

#[test]
fn a_get_carries_its_parameters_in_the_url() {
    let cloud = start();
    let authorization = authorization(KEY, "us-east-1", "ec2");
    let path = "/?Action=DescribeFpgaImages&Version=2016-11-15&Filter.1.Name=name&Filter.1.Value.1=cl_dram_dma";
    let answer = send(
        &cloud.ec2_endpoint(),
        "GET",
        path,
        &[("Authorization", &authorization)],
        b"",
    );
    assert_eq!(answer.all("fpgaImageId"), ["afi-0f1f1000000000002"]);
}

#[test]
fn sts_tells_whose_the_credentials_are_in_its_own_form() {
    let cloud = start();
    let account = "111122223333";
    let authorization = authorization(&access_key_of(account.parse().unwrap()), "us-east-1", "sts");
    let headers = [("Authorization", authorization.as_str())];
    let call = |form: &str| {
        send(
            &cloud.ec2_endpoint(),
            "POST",
            "/",
            &headers,
            form.as_bytes(),
        )
    };
    let answer = call("Action=GetCallerIdentity&Version=2011-06-15");
    assert_eq!(
        (answer.status, answer.one("Account").as_str()),
        (200, account)
    );
    assert!(
        answer
            .body
            .contains("<GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:"),
        "{}",
        answer.body
    );
    let wrong = call("Action=DescribeFpgaImages&Version=2011-06-15");
    assert_eq!(
        (wrong.status, wrong.one("Code").as_str()),
        (400, "InvalidAction")
    );
    assert!(
        wrong.body.contains("<ErrorResponse xmlns="),
        "{}",
        wrong.body
    );
}

#[test]
fn a_change_of_the_catalogue_is_seen_by_the_next_request() {
    let config = CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1));
    let catalog = config.catalog.clone();
    let cloud = CloudServer::start(config).unwrap();
    assert_eq!(describe(&cloud, &[("FpgaImageId.1", HELLO)]).status, 200);
    catalog.write().remove(HELLO.parse().unwrap());
    assert_eq!(
        describe(&cloud, &[("FpgaImageId.1", HELLO)]).error().1,
        "InvalidFpgaImageID.NotFound"
    );
}
