//! In which role somebody signs, and how files and namespaces name it.

/// The role of a signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Who ran the drill.
    Operator,
    /// An independent reviewer.
    Reviewer,
}

impl Role {
    /// The name, as file names have it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Reviewer => "reviewer",
        }
    }

    /// The namespace of the signature, `-n` of `ssh-keygen`.
    pub fn namespace(self) -> &'static str {
        match self {
            Role::Operator => "walkaway-operator",
            Role::Reviewer => "walkaway-reviewer",
        }
    }

    /// The role and number of a signature's file name: `operator.sig`, `reviewer.sig`, `reviewer-2.sig`, …
    pub fn of_file(name: &str) -> Option<(Self, u32)> {
        let stem = name.strip_suffix(".sig")?;
        match stem.split_once('-') {
            None => [Role::Operator, Role::Reviewer].into_iter().find(|role| role.name() == stem).map(|role| (role, 1)),
            Some(("reviewer", number)) => {
                let read: u32 = number.parse().ok()?;
                (read > 1 && read.to_string() == number).then_some((Role::Reviewer, read))
            }
            Some(_) => None,
        }
    }

    /// The file of a signature in this role.
    pub fn file(self, number: u32) -> String {
        match number {
            0 | 1 => format!("{}.sig", self.name()),
            _ => format!("{}-{number}.sig", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_the_role() {
        for (role, number) in [(Role::Operator, 1), (Role::Reviewer, 1), (Role::Reviewer, 2), (Role::Reviewer, 10)] {
            assert_eq!(Role::of_file(&role.file(number)), Some((role, number)));
        }
        for name in
            ["operator-2.sig", "reviewer-1.sig", "reviewer-02.sig", "x.sig", "operator", ".sig", "reviewer-.sig"]
        {
            assert_eq!(Role::of_file(name), None, "{name}");
        }
    }
}
