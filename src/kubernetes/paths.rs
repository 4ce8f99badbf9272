//! What more than one of those who ask an API server, or tell which rights that takes, has to name alike.

/// The API group of what decides on rights.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
/// What decides on rights: kinds, and their plurals.
pub const RBAC_KINDS: [(&str, &str); 4] = [
    ("ClusterRole", "clusterroles"),
    ("ClusterRoleBinding", "clusterrolebindings"),
    ("Role", "roles"),
    ("RoleBinding", "rolebindings"),
];
/// Who signs the tokens of service accounts.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
/// The keys that they are signed with, at the server that is asked: what it says of itself may be an address that is not
/// ours to reach.
pub const KEYS: &str = "/openid/v1/jwks";
