//! Traffic of guests, counted under their own names.

use super::columns::table;
use xenvnet_core::{Account, IfName};

pub(crate) fn accounts(accounts: &[(IfName, Account)]) -> String {
    let row = |(name, account): &(IfName, Account)| {
        let Account { index, sent, received, .. } = account;
        let counts = [sent, received].into_iter().flat_map(|counter| [counter.packets, counter.bytes]);
        let counts = counts.map(|count| count.to_string().into());
        [name.as_str().into(), index.to_string().into()].into_iter().chain(counts).collect()
    };
    table(&["NAME", "INDEX", "SENT", "BYTES", "RECEIVED", "BYTES"], accounts.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenvnet_core::Counter;

    #[test]
    fn accounts_read_like_this() {
        let mut web = Account::new(1);
        (web.sent, web.received) = (Counter::new(1234, 1_806_311), Counter::new(88, 7392));
        let all = [("db", Account::new(2)), ("web", web)].map(|(name, account)| (name.parse().unwrap(), account));
        insta::assert_snapshot!(anstream::adapter::strip_str(&accounts(&all)), @r"
          NAME  INDEX  SENT  BYTES    RECEIVED  BYTES
          db    2      0     0        0         0
          web   1      1234  1806311  88        7392
        ");
    }
}
